#include "support/sample.h"
#include "support/device.h"
#include "support/folder.h"
#include "train/safetensors.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 64 };

char sample_output[SAMPLE_OUTPUT];
static char folder[FOLDER_PATH];

const char *const sample_small[] = {"--text",   "text", "--hidden",     "12",  "--embedding", "6",
                                    "--layers", "1",    "--batch",      "4",   "--steps",     "8",
                                    "--lr",     "0.02", "--validation", "0.2", NULL};

static void must(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "sample: %s\n", what);
        abort();
    }
}

void sample_write(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(name, "wb");
    must(file && fwrite(data, 1, size, file) == size && fclose(file) == 0, name);
}

void sample_setup(void)
{
    char text[2400]; /* repeats, so that there is something to learn */
    folder_create(folder);
    must(chdir(folder) == 0, folder);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "Hello there, hello. "[i % 20];
    sample_write("text", text, sizeof text);
}

void sample_teardown(void)
{
    must(chdir("/") == 0, "/");
    folder_remove(folder);
}

static void become(const char *const *arguments, const sample_options *how)
{
    int both = open("output", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    int out = how->stdout_to ? open(how->stdout_to, O_WRONLY) : both;
    must(both >= 0 && out >= 0, "cannot open its output");
    dup2(out, STDOUT_FILENO);
    dup2(both, STDERR_FILENO);
    if (how->own_group)
        setpgid(0, 0);
    if (how->file_limit) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){how->file_limit, how->file_limit});
    }
    if (how->device)
        setenv("CLSEQ_DEVICE", how->device, 1);
    if (how->pocl_cache)
        setenv("POCL_CACHE_DIR", how->pocl_cache, 1);
    if (how->tools) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s:%s", folder, how->tools, getenv("PATH"));
        setenv("PATH", path, 1);
    }
    alarm(test_small() ? 600 : 60);
    execv(arguments[0], (char *const *)arguments);
    _exit(127);
}

pid_t sample_start(const char *const *first, const char *const *rest, const sample_options *how)
{
    char program[sizeof CLSEQ_SAMPLES + 64];
    const char *arguments[MAX_ARGUMENTS] = {program};
    int n = 1;
    snprintf(program, sizeof program, CLSEQ_SAMPLES "/%s", how->program ? how->program : "char_lm");
    for (; first && *first; first++)
        arguments[n++] = *first;
    for (; rest && *rest; rest++)
        arguments[n++] = *rest;
    pid_t child = fork();
    if (child == 0)
        become(arguments, how);
    must(child > 0, "cannot fork");
    return child;
}

int sample_finish(pid_t child)
{
    int status = 0;
    must(waitpid(child, &status, 0) == child, "cannot wait for it");
    FILE *file = fopen("output", "rb");
    must(file != NULL, "its output is not there");
    sample_output[fread(sample_output, 1, sizeof sample_output - 1, file)] = 0;
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void sample_generated(char text[SAMPLE_OUTPUT])
{
    const char *begin = strstr(sample_output, "---- generated");
    begin = begin ? strchr(begin, '\n') : NULL;
    const char *end = begin ? strstr(begin + 1, "\n----") : NULL;
    snprintf(text, SAMPLE_OUTPUT, "%.*s", end ? (int)(end - begin - 1) : 0, end ? begin + 1 : "");
}

bool sample_exists(const char *name)
{
    return access(name, F_OK) == 0;
}

void sample_wait_for(const char *name)
{
    for (int i = 0; i < (test_small() ? 600000 : 30000) && !sample_exists(name); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Field number `index` of a line, which it cuts. */
static char *field_of(char *line, int index)
{
    char *field = line;
    for (; index > 0 && field; index--)
        field = strchr(field, ',') ? strchr(field, ',') + 1 : NULL;
    if (field)
        field[strcspn(field, ",\n")] = 0;
    return field;
}

int sample_metrics(const char *path, const char *column, double *values, int most)
{
    char line[512];
    int index = 0, count = 0;
    FILE *file = fopen(path, "r");
    must(file && fgets(line, sizeof line, file), path);
    const char *at = strstr(line, column);
    must(at != NULL, column);
    for (const char *p = line; p < at; p++)
        index += *p == ',';
    while (count < most && fgets(line, sizeof line, file)) {
        const char *field = field_of(line, index);
        if (field && *field)
            values[count++] = strtod(field, NULL);
    }
    fclose(file);
    return count;
}

void sample_set_meta(const char *path, const char *key, const char *value)
{
    struct stat info;
    char name[128];
    uint64_t length = 0;
    must(stat(path, &info) == 0, path);
    const size_t size = (size_t)info.st_size;
    char *old = calloc(size + 1, 1), *new = malloc(size + strlen(value) + 16);
    FILE *file = fopen(path, "rb");
    must(file && old && new &&fread(old, 1, size, file) == size, path);
    fclose(file);
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)(uint8_t)old[i] << (8 * i);
    snprintf(name, sizeof name, "\"%s\":\"", key);
    char *begin = strstr(old + 8, name);
    must(begin != NULL, key);
    begin += strlen(name);
    const char *end = strchr(begin, '"'), *data = old + 8 + length;
    size_t used = (size_t)(begin - old);
    memcpy(new, old, used);
    memcpy(new + used, value, strlen(value));
    used += strlen(value);
    memcpy(new + used, end, (size_t)(data - end));
    used += (size_t)(data - end);
    while (used % 8 != 0)
        new[used++] = ' ';
    for (int i = 0; i < 8; i++)
        new[i] = (char)((used - 8) >> (8 * i));
    memcpy(new + used, data, size - 8 - length);
    sample_write(path, new, used + size - 8 - length);
    free(old);
    free(new);
}

const char *sample_difference(const char *left, const char *right)
{
    static char name[256];
    clseq__st_reader *a = NULL, *b = NULL;
    bool same = true;
    must(clseq__st_open(left, &a) == CLSEQ_OK && clseq__st_open(right, &b) == CLSEQ_OK, clseq_last_error());
    must(clseq__st_count(a) == clseq__st_count(b), "the checkpoints differ in the number of tensors");
    for (size_t i = 0; same && i < clseq__st_count(a); i++) {
        const clseq__st_entry *p = clseq__st_at(a, i), *q = clseq__st_find(b, p->name);
        snprintf(name, sizeof name, "%s", p->name);
        must(q && p->end - p->begin == q->end - q->begin, name);
        float *x = malloc(p->end - p->begin), *y = malloc(p->end - p->begin);
        must(x && y && clseq__st_read(a, p, x) == CLSEQ_OK && clseq__st_read(b, q, y) == CLSEQ_OK, name);
        same = memcmp(x, y, p->end - p->begin) == 0;
        free(x);
        free(y);
    }
    clseq__st_close(a);
    clseq__st_close(b);
    return same ? NULL : name;
}
