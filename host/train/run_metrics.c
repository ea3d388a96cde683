/* The CSV of a run: its columns, its rows, and what of an earlier process's rows stays. */
#include "train/run.h"

#include "core/file.h"
#include "core/text.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- columns ---- */

static clseq_status add_header(const clseq_run *run, clseq__text *text)
{
    const clseq_run_desc *d = &run->desc;
    CLSEQ__RETURN_IF(clseq__text_print(text, "step,epoch,%s,seconds,loss", d->step_name));
    for (size_t i = 0; i < d->column_count; i++)
        CLSEQ__RETURN_IF(clseq__text_print(text, ",%s", d->columns[i].name));
    return clseq__text_print(text, ",validation_loss,%ss_per_second\n", d->unit);
}

static clseq_status check_name(const char *what, const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    if (name && *name && name[strspn(name, letters)] == '\0')
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT,
                        "run create: %s is \"%s\", expected letters, digits, _, - and .", what,
                        name ? CLSEQ__SHOW(name) : "");
}

/* How often a name stands among the columns. */
static int count_name(const char *header, const char *name)
{
    const size_t length = strlen(name);
    int count = 0;
    for (const char *at = header; at; at = strchr(at, ',')) {
        at += *at == ',';
        count += strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\n');
    }
    return count;
}

clseq_status clseq__metrics_check(const clseq_run *run)
{
    clseq_status status = CLSEQ_OK;
    const clseq_run_desc *d = &run->desc;
    clseq__text header = {0};
    CLSEQ__TRY(check_name("unit", d->unit));
    CLSEQ__TRY(check_name("step_name", d->step_name));
    for (size_t i = 0; i < d->column_count; i++)
        CLSEQ__TRY(check_name("a column", d->columns[i].name));
    CLSEQ__TRY(add_header(run, &header));
    if (count_name(header.data, d->step_name) > 1)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "run create: step_name is %s, which is another column's name",
                    d->step_name);
    for (size_t i = 0; i < d->column_count; i++)
        if (count_name(header.data, d->columns[i].name) > 1)
            CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "run create: two columns are called %s", d->columns[i].name);
done:
    free(header.data);
    return status;
}

clseq_status clseq_run_metric_set(clseq_run *run, const char *name, double value)
{
    CLSEQ__NEEDS("run metric set", run);
    CLSEQ__NOT_NULL("run metric set", name);
    for (size_t i = 0; i < run->desc.column_count; i++) {
        if (strcmp(run->desc.columns[i].name, name) != 0 || run->desc.columns[i].of_loss)
            continue;
        run->values[i] = run->shown[i] = value;
        return CLSEQ_OK;
    }
    return clseq__error(CLSEQ_NOT_FOUND, "run metric set: the run has no column %s whose values are set",
                        CLSEQ__SHOW(name));
}

/* ---- rows ---- */

static bool print_value(const clseq_run *run, size_t column)
{
    const clseq_run_metric *metric = &run->desc.columns[column];
    if (metric->of_loss)
        return clseq__run_print(run->csv, ",%.6f", metric->of_loss(run->done.loss));
    const double value = run->values[column];
    return isnan(value) ? clseq__run_print(run->csv, ",") : clseq__run_print(run->csv, ",%.9g", value);
}

static bool print_row(clseq_run *run, int64_t epoch, const double *validation, double rate)
{
    const clseq_progress done = clseq_run_progress(run);
    bool fine = clseq__run_print(run->csv, "%lld,%lld,%lld,%.3f,%.6f", (long long)done.steps,
                                 (long long)epoch, (long long)done.epoch_steps, done.seconds, done.loss);
    for (size_t i = 0; i < run->desc.column_count; i++)
        fine = print_value(run, i) && fine;
    if (validation)
        fine = clseq__run_print(run->csv, ",%.6f,", *validation) && fine;
    else
        fine = clseq__run_print(run->csv, ",,") && fine;
    if (rate > 0)
        fine = clseq__run_print(run->csv, rate < 100 ? "%.3g" : "%.0f", rate) && fine;
    return clseq__run_print(run->csv, "\n") && fflush(run->csv) == 0 && fine;
}

void clseq__metrics_row(clseq_run *run, int64_t epoch, const double *validation, double rate)
{
    if (run->csv && !print_row(run, epoch, validation, rate))
        clseq__run_note(run, "metrics ", run->desc.metrics);
    for (size_t i = 0; i < run->desc.column_count; i++)
        run->values[i] = NAN;
}

void clseq__metrics_close(clseq_run *run)
{
    if (run->csv && fclose(run->csv) != 0)
        clseq__run_note(run, "metrics ", run->desc.metrics);
    run->csv = NULL;
}

/* ---- opening ---- */

/*
 * Whether a run that goes on keeps a line. Rows of steps that the checkpoint does not know come again, and so do the one
 * of a row that was not full and the validation of an epoch's part.
 */
static bool stays(const clseq_run *run, const char *line, size_t length, size_t commas)
{
    const long long step = strtoll(line, NULL, 10);
    if (line[length - 1] != '\n' || step > run->row_step)
        return false;
    for (; commas > 0 && line; commas--)
        line = strchr(line, ',') ? strchr(line, ',') + 1 : NULL;
    const bool validates = line && *line != ',';
    return step < run->done.steps || run->done.epoch_steps == 0 || !validates;
}

/* Reads the header, which must be the run's, and copies what stays behind it. */
static clseq_status sift(const clseq_run *run, const char *header, FILE *old, clseq__text *kept)
{
    clseq_status status = CLSEQ_OK;
    char *line = NULL;
    size_t capacity = 0;
    const size_t before_validation = 5 + run->desc.column_count;
    ssize_t length = getline(&line, &capacity, old);
    if (length > 0 && strcmp(line, header) != 0)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT,
                    "run begin: metrics %s: it begins with \"%s\", expected the columns \"%.*s\"",
                    run->desc.metrics, CLSEQ__SHOW(line), (int)strlen(header) - 1, header);
    CLSEQ__TRY(clseq__text_print(kept, "%s", header));
    while ((length = getline(&line, &capacity, old)) > 0)
        if (stays(run, line, (size_t)length, before_validation))
            CLSEQ__TRY(clseq__text_add(kept, line, (size_t)length));
    if (ferror(old))
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "run begin: metrics %s: cannot read it: %s", run->desc.metrics,
                    strerror(errno));
done:
    free(line);
    return status;
}

static clseq_status replace(const char *path, const clseq__text *text)
{
    clseq__file *file = NULL;
    CLSEQ__RETURN_IF(clseq__file_begin(path, &file));
    const clseq_status status = clseq__file_write(file, text->data, text->size);
    if (status == CLSEQ_OK)
        return clseq__file_commit(file);
    clseq__file_abandon(file);
    return status;
}

/* The file of an earlier process as this one is to continue it; `found`: whether there is one that is not empty. */
static clseq_status continue_file(const clseq_run *run, const char *header, bool *found)
{
    clseq_status status = CLSEQ_OK;
    const char *path = run->desc.metrics;
    struct stat facts;
    clseq__text kept = {0};
    FILE *old = NULL;
    *found = stat(path, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0;
    if (!*found)
        return CLSEQ_OK;
    old = fopen(path, "r");
    if (!old)
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "run begin: metrics %s: cannot read it: %s", path, strerror(errno));
    CLSEQ__TRY(sift(run, header, old, &kept));
    if ((off_t)kept.size != facts.st_size)
        CLSEQ__TRY(replace(path, &kept));
done:
    if (old)
        fclose(old);
    free(kept.data);
    return status;
}

clseq_status clseq__metrics_open(clseq_run *run)
{
    clseq_status status = CLSEQ_OK;
    const char *path = run->desc.metrics;
    clseq__text header = {0};
    bool found = false;
    if (!path)
        return CLSEQ_OK;
    CLSEQ__TRY(add_header(run, &header));
    if (run->desc.resume)
        CLSEQ__TRY(continue_file(run, header.data, &found));
    run->csv = fopen(path, run->desc.resume ? "a" : "w");
    if (!run->csv)
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "run begin: metrics %s: cannot write it: %s", path, strerror(errno));
    if (!found && (fputs(header.data, run->csv) < 0 || fflush(run->csv) != 0))
        clseq__run_note(run, "metrics ", path);
done:
    free(header.data);
    return status;
}
