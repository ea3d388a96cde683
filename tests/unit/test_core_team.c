/*
 * Teams of groups (cl/core/team.clh): a chain in which every unit of a step is made from all units of the step before, so
 * that a step lost, done twice or read too early changes bits; with every number of blocks, members, groups and threads,
 * and with members that are dropped, quit or come late, by chance and by force.
 *
 * CLSEQ_TEST_TEAM_PASSES=n runs each combination n times.
 */
#include "core/launch.h"
#include "core/pocl.h"
#include "core/pool.h"
#include "core/program.h"
#include "core/team.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/folder.h"
#include "support/guarded.h"
#include "support/team_trouble.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Step k writes row k % rows of its block from row k - 1. Sums are begun in scratch, which no other share may have. Groups
 * wait a while until so many have arrived, as short work is over before a second thread wakes.
 */
static const char kernel_text[] =
    "#include \"core/team.clh\"\n"
    "kernel void chain(global int *control, int blocks, int members, int patience, int settle, int steps,\n"
    "                  int units, int rows, uint seed, global uint *y, global uint *scratch,\n"
    "                  int meeting, volatile global int *arrived)\n"
    "{\n"
    "    if (meeting > 1) {\n"
    "        atomic_inc(arrived);\n"
    "        for (int i = 0; i < 20000000 && *arrived < meeting; i++)\n"
    "            ;\n"
    "    }\n"
    "    Team team;\n"
    "    team_enter(&team, control, blocks, members, patience);\n"
    "    team.settle = settle;\n"
    "    while (team_join(&team)) {\n"
    "        global uint *block = y + team.block * rows * units, *sum = scratch + team.slot * units;\n"
    "        while (team_step(&team, steps)) {\n"
    "            const int k = team.step, begin = units * team.share / team.shares;\n"
    "            const int end = units * (team.share + 1) / team.shares;\n"
    "            global const uint *from = block + (k + rows - 1) % rows * units;\n"
    "            global uint *to = block + k % rows * units;\n"
    "            for (int u = begin; u < end; u++) {\n"
    "                sum[u] = seed + team.block * 77u + u;\n"
    "                for (int j = 0; k > 0 && j < units; j++)\n"
    "                    sum[u] = sum[u] * 33u + (from[j] ^ sum[u] >> 7);\n"
    "            }\n"
    "            for (int u = begin; u < end; u++)\n"
    "                to[u] = sum[u];\n"
    "        }\n"
    "    }\n"
    "}\n";

enum { SHORT = 96, LONG = 1500, UNITS = 41, MOST_BLOCKS = 3, MOST_MEMBERS = 4, PROBES = TEAM_PROBES_END };

/* The memory of a block: a row for each step, or one more than there are between two settled steps. */
enum { SETTLE = 5 };

static const team_trouble troubles[] = {
    {"as it comes", 0, 0, 0, 0, 1000000},
    {"dropped", 2, 0, 0, 0, 1000000},
    {"quit", 0, 5, 0, 0, 20000},
    {"late", 0, 0, 3, 4000, 500},
    {"all at once", 7, 11, 3, 4000, 500},
    {"no patience", 0, 0, 0, 0, 0},
    {"dropped and late", 1, 0, 2, 100000, 20000},
};
enum { TROUBLES = sizeof troubles / sizeof troubles[0] };

/* Units of a block. */
static int units;

static char folder[FOLDER_PATH];

typedef struct bench {
    clseq_context *ctx;
    /* TEAM=0, TEAM=1, and that with probes */
    clseq__kernel *alone, *plain, *probed;
    cl_mem control;
    clseq_tensor y, scratch, arrived;
    /* groups that can run at once, as far as is known */
    int threads;
    uint32_t seed;
    long launches;
    long seen[PROBES];
    /* launches in which a seat had more than one member */
    long taken_again;
} bench;

/* Programs are read from a folder that has the library's and the test's. */
static void make_folder(void)
{
    folder_create(folder);
    for (size_t i = 0; i < clseq__source_count; i++)
        if (strncmp(clseq__sources[i].name, "core/", 5) == 0)
            folder_write(folder, clseq__sources[i].name, clseq__sources[i].text, clseq__sources[i].size);
    folder_write_text(folder, "chain.cl", kernel_text);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    setenv("CLSEQ_CACHE", "off", 1);
}

static void remove_folder(void)
{
    folder_remove(folder);
}

TestSuite(core_team, .init = make_folder, .fini = remove_folder);

/* With so many threads where PoCL runs; the test is skipped where groups that have begun may stand still. */
static bench bench_create(const char *threads)
{
    bench b = {0};
    units = test_small() ? 7 : UNITS;
    if (threads)
        setenv("POCL_MAX_PTHREAD_COUNT", threads, 1);
    b.ctx = test_context();
    if (!b.ctx->traits.is_cpu) {
        clseq_context_destroy(b.ctx);
        cr_skip_test("teams are for CPUs: elsewhere nothing promises that a group goes on running");
    }
    MUST(clseq__kernel_get(b.ctx, "chain.cl", "-DTEAM=0", "chain", &b.alone));
    MUST(clseq__kernel_get(b.ctx, "chain.cl", "-DTEAM=1", "chain", &b.plain));
    MUST(clseq__kernel_get(b.ctx, "chain.cl", "-DTEAM=1 -DTEAM_PROBES=1", "chain", &b.probed));
    MUST(clseq__team_control_create(b.ctx, MOST_BLOCKS, MOST_MEMBERS, "test", &b.control));
    MUST(clseq_tensor_create(b.ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){MOST_BLOCKS * LONG * UNITS}, &b.y));
    MUST(clseq_tensor_create(b.ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){MOST_BLOCKS * MOST_MEMBERS * UNITS},
                             &b.scratch));
    MUST(clseq_tensor_create(b.ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){1}, &b.arrived));
    b.threads = threads == NULL ? 1 : atoi(threads) < 3 ? atoi(threads) : 3;
    return b;
}

static void bench_destroy(bench *b)
{
    clseq_tensor_destroy(b->ctx, &b->arrived);
    clseq_tensor_destroy(b->ctx, &b->scratch);
    clseq_tensor_destroy(b->ctx, &b->y);
    clseq__pool_put(b->ctx, b->control);
    clseq_context_destroy(b->ctx);
}

/* The rows of a block as they are at the end, on the host. */
static void expect(uint32_t seed, int block, int steps, int rows, uint32_t *y)
{
    for (int k = 0; k < steps; k++) {
        const uint32_t *from = y + (k + rows - 1) % rows * units;
        uint32_t *to = y + k % rows * units;
        for (int u = 0; u < units; u++) {
            uint32_t sum = seed + (uint32_t)block * 77u + (uint32_t)u;
            for (int j = 0; k > 0 && j < units; j++)
                sum = sum * 33u + (from[j] ^ sum >> 7);
            to[u] = sum;
        }
    }
}

/* The control buffer is zero again but for the probe, whose words are added up and set anew. */
static void check_control(bench *b, const char *what, const team_trouble *next)
{
    static cl_int words[TEAM_WORDS(MOST_BLOCKS, MOST_MEMBERS)];
    cr_assert_eq(
        clEnqueueReadBuffer(b->ctx->queue, b->control, CL_TRUE, 0, sizeof words, words, 0, NULL, NULL),
        CL_SUCCESS);
    memset(words + TEAM_PROBE, 0, PROBES * sizeof words[0]);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_assert_eq(words[i], 0, "%s: word %zu of the control buffer is %d at the end", what, i, words[i]);
    cr_assert_eq(team_trouble_set(b->ctx, b->control, next, b->seen), CL_SUCCESS);
}

typedef struct shape {
    int blocks, members, groups, steps;
    bool settle;
} shape;

/* One launch, each with numbers of its own, so that what an earlier one left is wrong. */
static void pass(bench *b, clseq__kernel *kernel, const shape *x, const team_trouble *t)
{
    static uint32_t got[MOST_BLOCKS * LONG * UNITS], want[LONG * UNITS];
    const int rows = x->settle ? SETTLE + 1 : x->steps;
    const long admitted = b->seen[TEAM_ADMITTED];
    const int meeting = b->threads < x->groups ? b->threads : x->groups;
    char what[160];
    snprintf(what, sizeof what, "%d blocks, %d members, %d groups, %d steps, %d rows, %s, seed %u", x->blocks,
             x->members, x->groups, x->steps, rows, t->name, (unsigned)b->seed);
    if (kernel == b->probed)
        check_control(b, what, t);
    MUST(clseq_tensor_write(b->ctx, &b->arrived, &(int32_t){0}));
    MUST(clseq__launch(b->ctx, kernel, CLSEQ__GRID1((size_t)x->groups, 1),
                       CLSEQ__ARGS(CLSEQ__M(kernel == b->alone ? NULL : b->control), CLSEQ__I(x->blocks),
                                   CLSEQ__I(x->members), CLSEQ__I(t->patience),
                                   CLSEQ__I(x->settle ? SETTLE : 0), CLSEQ__I(x->steps), CLSEQ__I(units),
                                   CLSEQ__I(rows), CLSEQ__U(b->seed), CLSEQ__M(b->y.buffer),
                                   CLSEQ__M(b->scratch.buffer), CLSEQ__I(meeting),
                                   CLSEQ__M(b->arrived.buffer))));
    MUST(clseq_tensor_read(b->ctx, &b->y, got));
    for (int block = 0; block < x->blocks; block++) {
        const uint32_t *y = got + block * rows * units;
        expect(b->seed, block, x->steps, rows, want);
        for (int i = 0; i < rows * units; i++)
            cr_assert_eq(y[i], want[i], "%s: row %d, unit %d of block %d is %u, expected %u", what, i / units,
                         i % units, block, (unsigned)y[i], (unsigned)want[i]);
    }
    check_control(b, what, &troubles[0]);
    b->taken_again += b->seen[TEAM_ADMITTED] - admitted > x->blocks * (x->members - 1);
    b->launches += kernel == b->probed;
    b->seed++;
}

/* Every combination, with one group to four times as many as there are cores in turn. */
static void sweep(bench *b)
{
    const int cores = b->ctx->traits.groups < 8 ? b->ctx->traits.groups : 8;
    const int counts[] = {1, 2, cores, 2 * cores + 1, 4 * cores};
    enum { COUNTS = sizeof counts / sizeof counts[0], ALL = 2 * TROUBLES * MOST_BLOCKS * MOST_MEMBERS };
    for (int i = 0; i < ALL * team_trouble_passes(4); i++) {
        const team_trouble *t = &troubles[i / 2 % TROUBLES];
        shape x = {.blocks = 1 + i / 2 / TROUBLES % MOST_BLOCKS,
                   .members = 1 + i / 2 / TROUBLES / MOST_BLOCKS % MOST_MEMBERS,
                   .steps = test_small() ? 8 : SHORT,
                   .settle = i % 2};
        const int count = (i + i / ALL) % (COUNTS + 1);
        x.groups = count < COUNTS ? counts[count] : (int)clseq__team_groups(x.blocks, x.members);
        if (team_trouble_counts_as_race(b->ctx))
            x.groups = 1;
        pass(b, b->probed, &x, t);
        if (t == &troubles[0])
            pass(b, b->plain, &x, t);
    }
    cr_assert_eq(b->seen[TEAM_RESTORED], b->launches);
}

Test(core_team, one_thread_does_the_work_of_all_teams)
{
    bench b = bench_create("1");
    sweep(&b);
    if (clseq__is_pocl(b.ctx->device.platform_name, b.ctx->device.platform_version))
        cr_assert_eq(b.seen[TEAM_ADMITTED], 0);
    bench_destroy(&b);
}

/* What must have happened to some member, or the test has tested nothing. */
static const struct {
    int what;
    const char *name;
} paths[] = {
    {TEAM_ADMITTED, "was admitted"},
    {TEAM_ADMITTED_LATE, "was admitted late"},
    {TEAM_DROPPED, "was dropped"},
    {TEAM_QUIT, "quit"},
    {TEAM_VACATED, "left its seat"},
    {TEAM_SETTLED, "was waited for"},
    {TEAM_FORCES + TEAM_FORCE_LATE, "was late"},
};

static bool all_paths_taken(const bench *b)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (b->seen[paths[i].what] == 0)
            return false;
    return b->taken_again > 0;
}

static void stress(const char *threads)
{
    bench b = bench_create(threads);
    if (team_trouble_counts_as_race(b.ctx)) {
        bench_destroy(&b);
        cr_skip_test("what polls read counts as a race there");
    }
    sweep(&b);
    /* Long enough for much to happen; a machine that is busy elsewhere may need some more passes. */
    for (int i = 0; i < 2 * TROUBLES * team_trouble_passes(4) || (i < 6000 && !all_paths_taken(&b)); i++) {
        const shape x = {1 + i % 5 / 4, 2 + i % 3, 64, LONG, i / TROUBLES % 2};
        pass(&b, b.probed, &x, &troubles[i % TROUBLES]);
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        cr_log_info("%s threads: %ld times a member %s", threads, b.seen[paths[i].what], paths[i].name);
        cr_assert_gt(b.seen[paths[i].what], 0, "no member ever %s in %ld launches", paths[i].name,
                     b.launches);
    }
    cr_assert_gt(b.taken_again, 0, "no seat had a second member in %ld launches", b.launches);
    bench_destroy(&b);
}

Test(core_team, two_threads)
{
    stress("2");
}

Test(core_team, more_threads_than_cores)
{
    stress("8");
}

Test(core_team, blocks_that_are_worked_on_alone)
{
    bench b = bench_create(NULL);
    for (int blocks = 1; blocks <= MOST_BLOCKS; blocks++)
        for (int groups = 1; groups <= 5; groups++)
            pass(&b, b.alone, &(shape){blocks, 1, groups, SHORT, groups % 2}, &troubles[0]);
    bench_destroy(&b);
}

/* Memory that the pool had before is not zero. */
Test(core_team, a_new_control_buffer_is_zero)
{
    enum { WORDS = TEAM_WORDS(2, 3) };
    clseq_context *ctx = test_context();
    cl_mem used = NULL, control = NULL;
    cl_int words[WORDS];
    MUST(clseq__pool_get(ctx, sizeof words, "test", &used));
    MUST(clseq__fill_bytes(ctx, used, 0, sizeof words, 0x7fffffff));
    clseq__pool_put(ctx, used);
    MUST(clseq__team_control_create(ctx, 2, 3, "test", &control));
    cr_assert_eq(control, used);
    cr_assert_eq(clEnqueueReadBuffer(clseq_context_queue(ctx), control, CL_TRUE, 0, sizeof words, words, 0,
                                     NULL, NULL),
                 CL_SUCCESS);
    for (int i = 0; i < WORDS; i++)
        cr_assert_eq(words[i], 0, "word %d is %d", i, (int)words[i]);
    clseq__pool_put(ctx, control);
    clseq_context_destroy(ctx);
}

/* What find work, and reserves where groups may be late. */
Test(core_team, groups_of_a_launch)
{
    cr_assert_eq(clseq__team_groups(1, 1), 1);
    cr_assert_eq(clseq__team_groups(3, 1), 3);
    cr_assert_eq(clseq__team_groups(1, 2), 4);
    cr_assert_eq(clseq__team_groups(3, 4), 24);
}

static clseq_status make_control(void *data)
{
    (void)data;
    clseq_context *ctx = NULL;
    cl_mem control = NULL;
    clseq_context_stats stats;
    clseq_status status = clseq_context_create(NULL, &ctx);
    if (status != CLSEQ_OK)
        return status;
    status = clseq__team_control_create(ctx, 2, 2, "test", &control);
    clseq__pool_put(ctx, control);
    if (clseq_context_get_stats(ctx, &stats) != CLSEQ_OK || stats.bytes_in_use != 0)
        abort(); /* the pool would clean up after it */
    clseq_context_destroy(ctx);
    return status;
}

Test(core_team, a_control_buffer_that_cannot_be_made)
{
    cr_assert(faults_each(make_control, NULL), "%s", faults_message());
}
