/*
 * bench_rnn - recurrent layers over the benchmark set, through the public plans: forward, and forward and backward
 * with all gradients, packing of the weights included, beside the machine's best matrix product in the same
 * interleaved run.
 *
 *     bench_rnn [--cell NAME]... [--schedule NAME] [--seconds S] [--csv FILE] [ID ...]
 *     bench_rnn --serve [--schedule NAME]
 *     CLSEQ_PROFILE=1 bench_rnn ...              prints the time of each kernel, too
 *
 * --serve reads lines "ID CELL [PASSES]" from the standard input and answers each with one CSV line, the median of
 * so many passes (1), or with a line "error: ...". So another program can take turns with it. There an ID may also be a
 * shape like H256B8T50, of one layer with I = H. The case of the last line is kept; a new one is warmed up before.
 * "sgemm" is answered by the GFLOP/s of the matrix product.
 */
#include "bench/bench.h"
#include <clseq/gemm.h>
#include <clseq/rnn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_CBLAS
#include <cblas.h>
#undef I /* complex.h has one */
#endif

/* What a job has room for: 3 layers in 2 directions with as many weights as a cell has. */
enum { MOST_LAYERS = 3, MOST_WEIGHTS = 64, MOST_STATES = 4 };
#define CSV_HEAD                                                                                         \
    "id,cell,layers,I,H,B,T,directions,last,forward_ms,backward_total_ms,gflops_fwd,gflops_fb,share_of_" \
    "sgemm,launches,"                                                                                    \
    "bytes_held\n"

static const struct problem {
    const char *id;
    long long L, I, H, B, T;
    clseq_direction direction;
    /* Gradients come in at the last step only, as in a classifier of sequences, and fade from there. */
    bool last;
} problems[] = {
    {"S0", 2, 10, 128, 64, 10, 0, false},
    {"S1", 1, 256, 256, 64, 150, 0, false},
    {"S2", 1, 512, 512, 64, 25, 0, false},
    {"S3", 1, 512, 512, 64, 100, 0, false},
    {"S4", 2, 650, 650, 20, 35, 0, false},
    {"S5", 1, 1024, 1024, 32, 25, 0, false},
    {"S6-1", 1, 128, 128, 50, 50, 0, false},
    {"S6-2", 2, 128, 128, 50, 50, 0, false},
    {"S6-3", 3, 128, 128, 50, 50, 0, false},
    {"S7", 1, 256, 256, 1, 150, 0, false},
    {"o100", 1, 100, 100, 32, 50, 0, false},
    {"o200", 1, 200, 200, 32, 50, 0, false},
    {"o681", 1, 681, 681, 32, 50, 0, false},
    {"T400", 1, 128, 128, 50, 400, 0, false},
    {"last", 1, 128, 128, 50, 400, 0, true},
    {"bi", 1, 256, 256, 32, 100, CLSEQ_DIRECTION_BIDIRECTIONAL, false},
    {"tiny", 1, 24, 32, 1, 63, CLSEQ_DIRECTION_BIDIRECTIONAL, false},
    {"long", 1, 64, 64, 16, 2000, 0, false},
    {"wide", 1, 2048, 2048, 8, 20, 0, false},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static const clseq_cell default_cells[] = {CLSEQ_CELL_LSTM, CLSEQ_CELL_GRU, CLSEQ_CELL_RNN_TANH};
enum { DEFAULT_CELLS = sizeof default_cells / sizeof default_cells[0] };

static void check(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "bench_rnn: %s\n", clseq_last_error());
    exit(1);
}

static const struct problem *problem_by_id(const char *id)
{
    for (int i = 0; i < PROBLEMS; i++)
        if (strcmp(id, problems[i].id) == 0)
            return &problems[i];
    return NULL;
}

/* A plan with everything that its passes take. */
typedef struct job {
    clseq_context *ctx;
    const struct problem *p;
    clseq_cell cell;
    clseq_rnn_plan *plan;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    clseq_rnn_buffers buffers;
    clseq_tensor weights[MOST_WEIGHTS], dweights[MOST_WEIGHTS];
    clseq_tensor initial[MOST_STATES], final[MOST_STATES], dfinal[MOST_STATES], dinitial[MOST_STATES];
    int64_t recurrent; /* the first weight_hh */
    clseq_rnn_forward_args forward;
    clseq_rnn_backward_args backward;
    unsigned long long launches; /* of forward and backward, packing included */
    double first_seconds;        /* plan and first pass, compilation included */
} job;

/* A tensor of numbers that are even in [-scale, scale]. */
static clseq_tensor tensor_of(clseq_context *ctx, int ndim, const int64_t *dims, double scale)
{
    static uint32_t state = 1;
    clseq_tensor t = {0};
    check(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, ndim, dims, &t));
    const int64_t n = clseq_tensor_elements(&t);
    float *values = malloc((size_t)n * sizeof *values);
    if (!values) {
        fprintf(stderr, "bench_rnn: no memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(scale * ((double)(state >> 8) / (1 << 23) - 1.0));
    }
    check(clseq_tensor_write(ctx, &t, values));
    free(values);
    return t;
}

/* The weights with their gradients, and which of them is weight_hh of the first layer. */
static void make_weights(job *j, double scale)
{
    const int64_t count = clseq_rnn_weight_count(j->plan);
    if (count > MOST_WEIGHTS) {
        fprintf(stderr, "bench_rnn: no room for %lld weights\n", (long long)count);
        exit(1);
    }
    j->recurrent = -1;
    for (int64_t i = 0; i < count; i++) {
        clseq_rnn_weight weight;
        check(clseq_rnn_weight_info(j->plan, i, &weight));
        j->weights[i] = tensor_of(j->ctx, weight.ndim, weight.dims, scale);
        j->dweights[i] = tensor_of(j->ctx, weight.ndim, weight.dims, scale);
        if (j->recurrent < 0 && weight.kind == CLSEQ_RNN_WEIGHT_RECURRENT)
            j->recurrent = i;
    }
}

static void make_states(job *j)
{
    for (int s = 0; s < clseq_rnn_state_count(j->plan); s++) {
        clseq_rnn_state state;
        check(clseq_rnn_state_info(j->plan, s, j->p->B, &state));
        clseq_tensor *all[] = {&j->initial[s], &j->final[s], &j->dfinal[s], &j->dinitial[s]};
        for (int i = 0; i < 4; i++)
            *all[i] = tensor_of(j->ctx, state.ndim, state.dims, 1);
    }
}

static void destroy_tensors(job *j)
{
    for (int i = 0; i < MOST_WEIGHTS; i++) {
        clseq_tensor_destroy(j->ctx, &j->weights[i]);
        clseq_tensor_destroy(j->ctx, &j->dweights[i]);
    }
    for (int s = 0; s < MOST_STATES; s++) {
        clseq_tensor_destroy(j->ctx, &j->initial[s]);
        clseq_tensor_destroy(j->ctx, &j->final[s]);
        clseq_tensor_destroy(j->ctx, &j->dfinal[s]);
        clseq_tensor_destroy(j->ctx, &j->dinitial[s]);
    }
    clseq_tensor_destroy(j->ctx, &j->forward.x);
    clseq_tensor_destroy(j->ctx, &j->forward.y);
    clseq_tensor_destroy(j->ctx, &j->backward.dy);
    clseq_tensor_destroy(j->ctx, &j->backward.dx);
}

static void run_forward(void *user)
{
    job *j = user;
    check(clseq_rnn_pack(j->plan, &j->shape, j->weights, &j->forward.packed));
    check(clseq_rnn_forward(j->plan, &j->shape, &j->forward));
    check(clseq_context_finish(j->ctx));
}

static void run_both(void *user)
{
    job *j = user;
    check(clseq_rnn_pack(j->plan, &j->shape, j->weights, &j->forward.packed));
    check(clseq_rnn_forward(j->plan, &j->shape, &j->forward));
    check(clseq_rnn_backward(j->plan, &j->shape, &j->backward));
    check(clseq_context_finish(j->ctx));
}

/* Zeros in dy but for its last step, and no gradients of final states. */
static void keep_last_step(job *j)
{
    const clseq_tensor before = clseq_tensor_slice(&j->backward.dy, 0, 0, j->p->T - 1);
    check(clseq_tensor_fill(j->ctx, &before, 0));
    j->backward.dfinal = NULL;
}

/* A first pass, so that everything is compiled; its outputs must be numbers. */
static void first_pass(job *j, double begin)
{
    clseq_context_stats before, after;
    check(clseq_context_get_stats(j->ctx, &before));
    run_both(j);
    check(clseq_context_get_stats(j->ctx, &after));
    j->launches = after.launches + after.clblast_calls - before.launches - before.clblast_calls;
    j->first_seconds = bench_now() - begin;
    const clseq_tensor *outputs[] = {&j->forward.y, &j->backward.dx, &j->dweights[j->recurrent]};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        const int64_t n = clseq_tensor_elements(outputs[i]);
        double sum = 0;
        float *values = malloc((size_t)n * sizeof *values);
        if (!values)
            exit(1);
        check(clseq_tensor_read(j->ctx, outputs[i], values));
        for (int64_t k = 0; k < n; k++)
            sum += fabs((double)values[k]);
        free(values);
        if (!(sum > 0 && isfinite(sum))) {
            fprintf(stderr, "bench_rnn: %s %s: an output's magnitudes add up to %g\n", j->p->id,
                    clseq_cell_name(j->cell), sum);
            exit(1);
        }
    }
}

static void job_create(job *j, clseq_context *ctx, const struct problem *p, clseq_cell cell,
                       clseq_schedule schedule)
{
    const double begin = bench_now();
    *j =
        (job){.ctx = ctx, .p = p, .cell = cell, .shape = {.T = p->T, .B = p->B, .mode = CLSEQ_MODE_TRAINING}};
    check(clseq_rnn_plan_create(ctx,
                                &(clseq_rnn_desc){.cell = cell,
                                                  .input = p->I,
                                                  .hidden = p->H,
                                                  .layers = p->L,
                                                  .direction = p->direction,
                                                  .schedule = schedule},
                                &j->plan));
    const int64_t x[] = {p->T, p->B, p->I}, y[] = {p->T, p->B, clseq_rnn_output_size(j->plan)};
    check(clseq_rnn_plan_sizes(j->plan, &j->shape, &j->sizes));
    check(clseq_rnn_buffers_create(j->plan, &j->shape, &j->buffers));
    make_weights(j, 1 / sqrt((double)p->H));
    make_states(j);
    j->forward = (clseq_rnn_forward_args){.packed = j->buffers.packed,
                                          .x = tensor_of(ctx, 3, x, 1),
                                          .initial = j->initial,
                                          .y = tensor_of(ctx, 3, y, 1),
                                          .final = j->final,
                                          .reserve = j->buffers.reserve,
                                          .workspace = j->buffers.workspace};
    j->backward = (clseq_rnn_backward_args){.packed = j->buffers.packed,
                                            .x = j->forward.x,
                                            .dy = tensor_of(ctx, 3, y, 1),
                                            .dfinal = j->dfinal,
                                            .dx = tensor_of(ctx, 3, x, 1),
                                            .dinitial = j->dinitial,
                                            .dweights = j->dweights,
                                            .overwrite = true,
                                            .reserve = j->buffers.reserve,
                                            .workspace = j->buffers.workspace};
    if (p->last)
        keep_last_step(j);
    first_pass(j, begin);
}

/* Bytes that all layers keep for backward. */
static long long bytes_held(const job *j)
{
    long long sum = 0;
    for (int64_t l = 0; l < j->p->L; l++) {
        int64_t bytes = 0;
        check(clseq_rnn_reserve_size(j->plan, &j->shape, l, &bytes));
        sum += bytes;
    }
    return sum;
}

static void job_destroy(job *j)
{
    if (!j->plan)
        return;
    check(clseq_context_finish(j->ctx));
    destroy_tensors(j);
    clseq_rnn_buffers_destroy(j->plan, &j->buffers);
    clseq_rnn_plan_destroy(j->plan);
    j->plan = NULL;
}

/* The best matrix product: large, with both operands packed before. */
typedef struct yardstick {
    clseq_context *ctx;
    clseq_tensor a, b, c;
    clseq_packed *packed_a, *packed_b;
    float *host[3];
} yardstick;

static const struct {
    long long m, n, k;
} gemm = {1536, 1024, 768};

static double gemm_gflop(void)
{
    return 2e-9 * (double)gemm.m * (double)gemm.n * (double)gemm.k;
}

static void run_gemm(void *user)
{
    yardstick *y = user;
    const clseq_gemm_desc desc = {.packed_a = y->packed_a, .packed_b = y->packed_b};
    check(clseq_gemm(y->ctx, &desc, 1.0f, NULL, NULL, 0.0f, &y->c));
    check(clseq_context_finish(y->ctx));
}

#ifdef HAVE_CBLAS
static void run_openblas(void *user)
{
    yardstick *y = user;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)gemm.m, (int)gemm.n, (int)gemm.k, 1.0f,
                y->host[0], (int)gemm.k, y->host[1], (int)gemm.n, 0.0f, y->host[2], (int)gemm.n);
}
#endif

static void yardstick_create(yardstick *y, clseq_context *ctx)
{
    *y = (yardstick){.ctx = ctx};
    y->a = tensor_of(ctx, 2, (int64_t[]){gemm.m, gemm.k}, 1);
    y->b = tensor_of(ctx, 2, (int64_t[]){gemm.k, gemm.n}, 1);
    y->c = tensor_of(ctx, 2, (int64_t[]){gemm.m, gemm.n}, 1);
    check(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &y->a, false, &y->packed_a));
    check(clseq_gemm_pack(ctx, CLSEQ_OPERAND_B, &y->b, false, &y->packed_b));
    const clseq_tensor *from[] = {&y->a, &y->b, &y->c};
    for (int i = 0; i < 3; i++) {
        y->host[i] = malloc((size_t)clseq_tensor_elements(from[i]) * sizeof(float));
        if (!y->host[i])
            exit(1);
        check(clseq_tensor_read(ctx, from[i], y->host[i]));
    }
}

static void yardstick_destroy(yardstick *y)
{
    clseq_packed_destroy(y->packed_a);
    clseq_packed_destroy(y->packed_b);
    clseq_tensor_destroy(y->ctx, &y->a);
    clseq_tensor_destroy(y->ctx, &y->b);
    clseq_tensor_destroy(y->ctx, &y->c);
    for (int i = 0; i < 3; i++)
        free(y->host[i]);
}

/* Rates of a job in GFLOP/s from its medians; `sgemm` 0: not measured. */
typedef struct result {
    double forward, both; /* s */
    double forward_rate, both_rate, sgemm;
} result;

static result result_of(const job *j, double forward, double both, double gemm_seconds)
{
    const double flop = j->sizes.flop_forward * 1e-9;
    result r = {forward, both, flop / forward, 3 * flop / both, 0};
    if (gemm_seconds > 0)
        r.sgemm = gemm_gflop() / gemm_seconds;
    return r;
}

static void print_csv(FILE *to, const job *j, result r)
{
    const struct problem *p = j->p;
    fprintf(to, "%s,%s,%lld,%lld,%lld,%lld,%lld,%d,%d,%.4f,%.4f,%.2f,%.2f,", p->id, clseq_cell_name(j->cell),
            p->L, p->I, p->H, p->B, p->T, p->direction == CLSEQ_DIRECTION_BIDIRECTIONAL ? 2 : 1, p->last,
            1e3 * r.forward, 1e3 * r.both, r.forward_rate, r.both_rate);
    if (r.sgemm > 0)
        fprintf(to, "%.4f", r.both_rate / r.sgemm);
    fprintf(to, ",%llu,%lld\n", j->launches, bytes_held(j));
    fflush(to);
}

static void bench_job(job *j, yardstick *y, double seconds, FILE *csv)
{
    enum { FORWARD, BOTH, GEMM, OPENBLAS, COUNT };
    bench_candidate c[COUNT] = {{run_forward, j, 0}, {run_both, j, 0}, {run_gemm, y, 0}, {0}};
#ifdef HAVE_CBLAS
    c[OPENBLAS] = (bench_candidate){run_openblas, y, 0};
#endif
    bench_compare(c, COUNT, (bench_plan){.seconds = seconds});
    const double native = c[GEMM].seconds, openblas = c[OPENBLAS].seconds;
    const result r = result_of(j, c[FORWARD].seconds, c[BOTH].seconds,
                               openblas > 0 && openblas < native ? openblas : native);
    printf("%-5s %-9s %9.2f %9.2f %8.1f %8.1f %8.1f %6.1f%% %8llu %10.2f %7.2f\n", j->p->id,
           clseq_cell_name(j->cell), 1e3 * r.forward, 1e3 * r.both, r.forward_rate, r.both_rate, r.sgemm,
           100 * r.both_rate / r.sgemm, j->launches, (double)bytes_held(j) / 1048576.0, j->first_seconds);
    fflush(stdout);
    if (csv)
        print_csv(csv, j, r);
}

/* One of the set; or what an id like H256B8T50 says, in `own`. */
static const struct problem *asked_for(const char *id, struct problem *own)
{
    int end = 0;
    *own = (struct problem){.id = "own", .L = 1};
    if (sscanf(id, "H%lldB%lldT%lld%n", &own->H, &own->B, &own->T, &end) != 3 || id[end])
        return problem_by_id(id);
    own->I = own->H;
    return own;
}

/* One request of --serve. */
static void answer(clseq_context *ctx, job *j, clseq_schedule schedule, const char *line)
{
    static struct problem own;
    static char kept[32]; /* the id of the job's problem */
    char id[32] = "", cell_name[32] = "";
    int passes = 1;
    const int fields = sscanf(line, "%31s %31s %d", id, cell_name, &passes);
    const struct problem *p = asked_for(id, &own);
    clseq_cell cell = CLSEQ_CELL_LSTM;
    if (fields < 2 || !p || clseq_cell_find(cell_name, &cell) != CLSEQ_OK || passes < 1 || passes > 1000) {
        printf("error: expected ID CELL [PASSES], 1 to 1000 passes\n");
        return;
    }
    if (!j->plan || strcmp(kept, id) != 0 || j->cell != cell) {
        job_destroy(j);
        job_create(j, ctx, p, cell, schedule);
        run_both(j);
        memcpy(kept, id, sizeof kept);
    }
    double *forward = malloc(2 * (size_t)passes * sizeof *forward), *both = forward + passes;
    if (!forward)
        exit(1);
    for (int i = 0; i < passes; i++) {
        double start = bench_now();
        run_forward(j);
        forward[i] = bench_now() - start;
        start = bench_now();
        run_both(j);
        both[i] = bench_now() - start;
    }
    print_csv(stdout, j,
              result_of(j, bench_median(forward, (size_t)passes), bench_median(both, (size_t)passes), 0));
    free(forward);
}

static void answer_sgemm(yardstick *y)
{
    double best = 0;
    for (int i = 0; i < 3; i++) {
        const double start = bench_now();
        run_gemm(y);
        best = fmax(best, gemm_gflop() / (bench_now() - start));
    }
    printf("%.2f\n", best);
}

static void serve(clseq_context *ctx, yardstick *y, clseq_schedule schedule)
{
    char line[256];
    job j = {0};
    run_gemm(y);
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "sgemm\n") == 0)
            answer_sgemm(y);
        else
            answer(ctx, &j, schedule, line);
        fflush(stdout);
    }
    job_destroy(&j);
}

typedef struct options {
    bool cells[CLSEQ_CELL_COUNT]; /* none: the set */
    clseq_schedule schedule;
    double seconds;
    FILE *csv;
    bool serve;
    int first; /* argument that is an id */
} options;

static bool set_option(options *o, const char *name, const char *value)
{
    if (strcmp(name, "--cell") == 0) {
        clseq_cell cell;
        return clseq_cell_find(value, &cell) == CLSEQ_OK && (o->cells[cell] = true);
    }
    if (strcmp(name, "--seconds") == 0)
        return (o->seconds = atof(value)) > 0;
    if (strcmp(name, "--csv") == 0)
        return (o->csv = fopen(value, "w")) && fputs(CSV_HEAD, o->csv) >= 0;
    return strcmp(name, "--schedule") == 0 && clseq_schedule_find(value, &o->schedule) == CLSEQ_OK;
}

static options read_options(int argc, char **argv)
{
    options o = {.seconds = 0.5};
    for (o.first = 1; o.first < argc && argv[o.first][0] == '-'; o.first++) {
        if (strcmp(argv[o.first], "--serve") == 0)
            o.serve = true;
        else if (o.first + 1 < argc && set_option(&o, argv[o.first], argv[o.first + 1]))
            o.first++;
        else {
            fprintf(stderr, "usage: bench_rnn [--cell NAME]... [--schedule auto|team|gemm_step] "
                            "[--seconds S] [--csv FILE] [--serve] [ID ...]\n");
            exit(2);
        }
    }
    for (int i = o.first; i < argc; i++)
        if (!problem_by_id(argv[i])) {
            fprintf(stderr, "bench_rnn: there is no %s\n", argv[i]);
            exit(2);
        }
    bool any = false;
    for (int i = 0; i < CLSEQ_CELL_COUNT; i++)
        any |= o.cells[i];
    for (int i = 0; !any && i < DEFAULT_CELLS; i++)
        o.cells[default_cells[i]] = true;
    return o;
}

static bool wanted(const options *o, int argc, char **argv, const char *id)
{
    bool found = o->first >= argc;
    for (int i = o->first; i < argc; i++)
        found |= strcmp(argv[i], id) == 0;
    return found;
}

/* With CLSEQ_PROFILE=1, where the time went; measuring it costs some. */
static void print_profile(clseq_context *ctx)
{
    char text[4096];
    if (clseq_context_profile_text(ctx, text, sizeof text) == CLSEQ_OK)
        printf("\n%s", text);
}

int main(int argc, char **argv)
{
    options o = read_options(argc, argv);
    clseq_context *ctx = NULL;
    yardstick y;
    check(clseq_context_create(NULL, &ctx));
    yardstick_create(&y, ctx);
    if (o.serve) {
        serve(ctx, &y, o.schedule);
        yardstick_destroy(&y);
        clseq_context_destroy(ctx);
        return 0;
    }
    printf("%s, schedule %s\n", clseq_context_device(ctx)->name, clseq_schedule_name(o.schedule));
    printf("id    cell       fwd, ms  fwd+bwd, ms  GFLOP/s  fwd+bwd    SGEMM  share launches reserve, MiB  "
           "first, s\n");
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        for (int k = 0; k < PROBLEMS; k++) {
            job j;
            if (!o.cells[cell] || !wanted(&o, argc, argv, problems[k].id))
                continue;
            job_create(&j, ctx, &problems[k], (clseq_cell)cell, o.schedule);
            bench_job(&j, &y, o.seconds, o.csv);
            job_destroy(&j);
        }
    }
    yardstick_destroy(&y);
    print_profile(ctx);
    clseq_context_destroy(ctx);
    if (o.csv && fclose(o.csv) != 0) {
        fprintf(stderr, "bench_rnn: the CSV file is not complete\n");
        return 1;
    }
    return 0;
}
