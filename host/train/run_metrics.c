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

clseq_status clseq_run_set_column(clseq_run *run, const char *name, double value)
{
    CLSEQ__NEEDS("run set column", run);
    CLSEQ__NOT_NULL("run set column", name);
    for (size_t i = 0; i < run->desc.column_count; i++) {
        if (strcmp(run->desc.columns[i].name, name) != 0 || run->desc.columns[i].of_loss)
            continue;
        run->values[i] = run->shown[i] = value;
        return CLSEQ_OK;
    }
    return clseq__error(CLSEQ_NOT_FOUND, "run set column: the run has no column %s whose values are set",
                        CLSEQ__SHOW(name));
}

/* ---- rows ---- */

static bool print_value(const clseq_run *run, size_t i)
{
    const clseq_run_column *column = &run->desc.columns[i];
    if (column->of_loss)
        return clseq__run_print(run->csv, ",%.6f", column->of_loss(run->done.loss));
    const double value = run->values[i];
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
static bool stays(const clseq_run *run, const char *line)
{
    const long long step =
        *line >= '0' && *line <= '9' ? strtoll(line, NULL, 10) : 0; /* which skips line ends */
    if (step > run->row_step)
        return false;
    for (size_t commas = 5 + run->desc.column_count; commas > 0 && line; commas--)
        line = strpbrk(line, ",\n") ? strpbrk(line, ",\n") + 1 : NULL;
    const bool validates = line && *line != ',' && *line != '\0';
    return step < run->done.steps || run->done.epoch_steps == 0 || !validates;
}

/* Copies what stays of the lines that are whole. */
static clseq_status sift(const clseq_run *run, const char *line, clseq__text *kept)
{
    for (const char *end = strchr(line, '\n'); end; line = end + 1, end = strchr(line, '\n'))
        if (stays(run, line))
            CLSEQ__RETURN_IF(clseq__text_add(kept, line, (size_t)(end - line) + 1));
    return CLSEQ_OK;
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

static clseq_status read_file(const char *path, clseq__text *text)
{
    FILE *file = fopen(path, "r");
    clseq_status status = file ? clseq__text_read(text, file) : CLSEQ_OK;
    if (!file || (status == CLSEQ_OK && ferror(file)))
        status =
            clseq__error(CLSEQ_IO_ERROR, "run begin: metrics %s: cannot read it: %s", path, strerror(errno));
    if (file)
        fclose(file);
    return status;
}

/* The file of an earlier process as this one is to continue it; `found`: whether there is one that is not empty. */
static clseq_status continue_file(const clseq_run *run, const clseq__text *header, bool *found)
{
    clseq_status status = CLSEQ_OK;
    const char *path = run->desc.metrics;
    struct stat facts;
    clseq__text old = {0}, kept = {0};
    *found = stat(path, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0;
    if (!*found)
        return CLSEQ_OK;
    CLSEQ__TRY(read_file(path, &old));
    if (strncmp(old.data, header->data, header->size) != 0) {
        old.data[strcspn(old.data, "\n")] = '\0';
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "run begin: metrics %s: it begins with \"%s\", expected \"%.*s\"",
                    path, CLSEQ__SHOW(old.data), (int)header->size - 1, header->data);
    }
    CLSEQ__TRY(clseq__text_add(&kept, header->data, header->size));
    CLSEQ__TRY(sift(run, old.data + header->size, &kept));
    if (kept.size != old.size)
        CLSEQ__TRY(replace(path, &kept));
done:
    free(old.data);
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
        CLSEQ__TRY(continue_file(run, &header, &found));
    run->csv = fopen(path, run->desc.resume ? "a" : "w");
    if (!run->csv)
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "run begin: metrics %s: cannot write it: %s", path, strerror(errno));
    if (!found && (fputs(header.data, run->csv) < 0 || fflush(run->csv) != 0))
        clseq__run_note(run, "metrics ", path);
done:
    free(header.data);
    return status;
}
