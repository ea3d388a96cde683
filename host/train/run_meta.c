/* What stands in a run's checkpoint beside tensors: its options, and how far it has come. */
#include "train/run.h"

#include "core/locale.h"
#include "core/names.h"
#include "train/option.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOSSES "row_losses" /* the meter's parts, where a row of metrics was not full */

enum { FIELDS = 9, REQUIRED = 7 }; /* checkpoints of earlier versions have no more than the required ones */

/* How far the run has come, as options of its checkpoint. */
static void fields(clseq_run *run, clseq_option rows[FIELDS])
{
    const double counts = 9007199254740992.0, losses = 1e39; /* a double counts to 2^53, floats end before */
    clseq_progress *p = &run->done;
    const clseq_option all[FIELDS] = {
        {.name = "epoch", .kind = CLSEQ_OPTION_WHOLE, .value = &p->epochs, .high = counts},
        {.name = "window",
         .kind = CLSEQ_OPTION_WHOLE,
         .value = &p->epoch_steps,
         .high = run->epoch_length > 0 ? (double)run->epoch_length : counts},
        {.name = "loss", .kind = CLSEQ_OPTION_REAL, .value = &p->loss, .low = -losses, .high = losses},
        {.name = "first_loss",
         .kind = CLSEQ_OPTION_REAL,
         .value = &p->first_loss,
         .low = -losses,
         .high = losses},
        {.name = "best_loss",
         .kind = CLSEQ_OPTION_REAL,
         .value = &p->best_loss,
         .low = -losses,
         .high = losses},
        {.name = "best_step", .kind = CLSEQ_OPTION_WHOLE, .value = &p->best_step, .high = counts},
        {.name = "seconds", .kind = CLSEQ_OPTION_REAL, .value = &p->seconds, .high = 1e12},
        {.name = "epochs_waited", .kind = CLSEQ_OPTION_WHOLE, .value = &run->waited, .high = counts},
        {.name = "row_step", .kind = CLSEQ_OPTION_WHOLE, .value = &run->row_step, .high = counts},
    };
    memcpy(rows, all, sizeof all);
}

/* ---- to the file ---- */

typedef struct pairs {
    clseq_meta *all;
    size_t count;
    clseq__arena arena;
} pairs;

static clseq_status add_text(pairs *p, const char *key, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *value = clseq__arena_get(&p->arena, size);
    if (!value)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "run: no memory for what its checkpoint says");
    memcpy(value, text, size);
    p->all[p->count++] = (clseq_meta){key, value};
    return CLSEQ_OK;
}

static clseq_status add_option(pairs *p, const clseq_option *option)
{
    clseq__text text = {0};
    clseq_status status = clseq__option_print(option, &text);
    if (status == CLSEQ_OK)
        status = add_text(p, option->name, text.data);
    free(text.data);
    return status;
}

/* The losses of a row that is not full. */
static clseq_status add_losses(pairs *p, const float *parts)
{
    char text[128];
    const locale_t before = clseq__locale_enter();
    snprintf(text, sizeof text, "%.9g %.9g %.9g %.9g", (double)parts[0], (double)parts[1], (double)parts[2],
             (double)parts[3]);
    clseq__locale_leave(before);
    return add_text(p, LOSSES, text);
}

static clseq_status collect(clseq_run *run, pairs *p)
{
    clseq_option rows[FIELDS];
    const clseq_run_desc *d = &run->desc;
    const bool within_row = run->row_step < run->done.steps;
    fields(run, rows);
    p->all = malloc((run->contents.meta_count + d->option_count + FIELDS + 1) * sizeof *p->all);
    if (!p->all)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "run: no memory for what its checkpoint says");
    for (size_t i = 0; i < run->contents.meta_count; i++)
        p->all[p->count++] = run->contents.meta[i];
    for (size_t i = 0; i < d->option_count; i++)
        if (d->options[i].rule != CLSEQ_OPTION_PASSES)
            CLSEQ__RETURN_IF(add_option(p, &d->options[i]));
    for (size_t i = 0; i < FIELDS; i++)
        if (i < REQUIRED || (rows[i].value == &run->waited && run->waited > 0) ||
            (rows[i].value == &run->row_step && within_row))
            CLSEQ__RETURN_IF(add_option(p, &rows[i]));
    return within_row ? add_losses(p, run->parts) : CLSEQ_OK;
}

clseq_status clseq__run_save(clseq_run *run, const char *path)
{
    pairs p = {0};
    clseq_checkpoint all = run->contents;
    run->done.seconds = clseq_run_progress(run).seconds;
    clseq_status status = collect(run, &p);
    all.meta = p.all;
    all.meta_count = p.count;
    if (status == CLSEQ_OK)
        status = clseq_checkpoint_save(path, &all);
    free(p.all);
    clseq__arena_release(&p.arena);
    return status;
}

/* Adds a key to those that were seen. */
static clseq_status see(clseq__names *seen, const char *key)
{
    if (clseq__names_find(seen, key))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "run begin: \"%s\" is there twice, or is the run's own",
                            CLSEQ__SHOW(key));
    if (!clseq__names_add(seen, key, seen))
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "run begin: no memory for names");
    return CLSEQ_OK;
}

clseq_status clseq__run_check_meta(clseq_run *run)
{
    clseq_status status = CLSEQ_OK;
    clseq_option rows[FIELDS];
    clseq__names seen = {0};
    fields(run, rows);
    CLSEQ__TRY(see(&seen, LOSSES));
    for (size_t i = 0; i < FIELDS; i++)
        CLSEQ__TRY(see(&seen, rows[i].name));
    for (size_t i = 0; i < run->desc.option_count; i++)
        if (run->desc.options[i].rule != CLSEQ_OPTION_PASSES)
            CLSEQ__TRY(see(&seen, run->desc.options[i].name));
    for (size_t i = 0; i < run->contents.meta_count; i++)
        CLSEQ__TRY(see(&seen, run->contents.meta[i].key));
done:
    clseq__names_clear(&seen);
    return status;
}

/* ---- from the file ---- */

static bool parse_losses(const char *text, float *parts)
{
    const locale_t before = clseq__locale_enter();
    bool fits = true;
    char *end = NULL;
    for (int i = 0; fits && i < CLSEQ__METER_PARTS; i++) {
        parts[i] = strtof(text, &end);
        fits = end != text && isfinite(parts[i]) && *end == (i + 1 < CLSEQ__METER_PARTS ? ' ' : '\0');
        text = end + 1;
    }
    clseq__locale_leave(before);
    return fits;
}

/* Where there are none, the last row was that of the last step: row_step < 0 says so. */
static clseq_status restore_losses(clseq_run *run, const clseq__st_reader *reader)
{
    const char *losses = clseq__st_meta(reader, LOSSES);
    if (!losses || !clseq__st_meta(reader, "row_step"))
        run->row_step = -1;
    else if (!parse_losses(losses, run->parts))
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s is damaged: its \"" LOSSES "\" is \"%s\", expected %d finite numbers",
                            run->desc.checkpoint, CLSEQ__SHOW(losses), CLSEQ__METER_PARTS);
    return CLSEQ_OK;
}

clseq_status clseq__run_restore_progress(clseq_run *run)
{
    clseq_status status = CLSEQ_OK;
    clseq_option rows[FIELDS];
    clseq__st_reader *reader = NULL;
    fields(run, rows);
    CLSEQ__TRY(clseq__st_open(run->desc.checkpoint, &reader));
    for (size_t i = 0; i < FIELDS; i++) {
        if (i >= REQUIRED && !clseq__st_meta(reader, rows[i].name))
            continue;
        CLSEQ__TRY(clseq__run_read(reader, &rows[i]));
    }
    CLSEQ__TRY(restore_losses(run, reader));
done:
    clseq__st_close(reader);
    return status;
}

clseq_status clseq__run_best_is_own(clseq_run *run, bool *own)
{
    clseq_status status = CLSEQ_OK;
    clseq_option rows[FIELDS];
    clseq__st_reader *reader = NULL;
    clseq__text text = {0};
    fields(run, rows);
    *own = false;
    if (clseq__st_open(run->best, &reader) != CLSEQ_OK)
        return CLSEQ_OK;
    *own = true;
    for (size_t i = 0; i < REQUIRED; i++) {
        if (rows[i].value != &run->done.best_loss && rows[i].value != &run->done.best_step)
            continue;
        const char *stored = clseq__st_meta(reader, rows[i].name);
        text.size = 0;
        CLSEQ__TRY(clseq__option_print(&rows[i], &text));
        *own = *own && stored && strcmp(stored, text.data) == 0;
    }
done:
    free(text.data);
    clseq__st_close(reader);
    return status;
}
