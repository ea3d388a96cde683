/* Options of a run that is resumed: those of its checkpoint. */
#include "train/run.h"

#include "train/option.h"
#include <stdlib.h>
#include <string.h>

static clseq_status damaged(const clseq_option *option, const char *stored, const char *path)
{
    clseq__text values = {0};
    clseq_status status = clseq__option_print_values(option, &values);
    if (status == CLSEQ_OK)
        status = clseq__error(CLSEQ_CORRUPT_FILE, "%s is damaged: its \"%s\" is \"%s\", expected %s", path,
                              option->name, CLSEQ__SHOW(stored), values.data);
    free(values.data);
    return status;
}

clseq_status clseq__run_read(const clseq__st_reader *reader, const clseq_option *option)
{
    const char *stored = clseq__st_meta(reader, option->name), *path = clseq__st_path(reader);
    if (!stored)
        return clseq__error(CLSEQ_NOT_FOUND,
                            "%s: nothing says \"%s\"; it was not written by this version of this program",
                            path, option->name);
    return clseq__option_parse(option, stored) ? CLSEQ_OK : damaged(option, stored, path);
}

/* The option as it stands and as it was, both as texts, are the same, or it may change, which is told. */
static clseq_status compare(clseq_run *run, const clseq_option *option, const clseq_option *old)
{
    clseq_status status = CLSEQ_OK;
    clseq__text now = {0}, then = {0};
    CLSEQ__TRY(clseq__option_print(option, &now));
    CLSEQ__TRY(clseq__option_print(old, &then));
    if (strcmp(now.data, then.data) == 0)
        goto done;
    if (option->rule == CLSEQ_OPTION_STAYS)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT,
                    "run create: %s is %s, but in %s it is %s, and a run that is resumed cannot change that",
                    option->name, CLSEQ__SHOW(now.data), run->desc.checkpoint, CLSEQ__SHOW(then.data));
    clseq__run_say(run, "resume: %s %s -> %s\n", option->name, CLSEQ__SHOW(then.data), CLSEQ__SHOW(now.data));
done:
    free(now.data);
    free(then.data);
    return status;
}

/* A text that was restored is the reader's, which will be closed. */
static clseq_status keep_text(clseq_run *run, const char **text)
{
    const size_t size = strlen(*text) + 1;
    char *own = clseq__arena_get(&run->arena, size);
    if (!own)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "run create: no memory for the options");
    *text = memcpy(own, *text, size);
    return CLSEQ_OK;
}

static clseq_status restore(clseq_run *run, const clseq__st_reader *reader, const clseq_option *option)
{
    union {
        const char *text;
        int64_t whole;
        double real;
        uint64_t seed;
        bool flag;
        int name;
    } scratch;
    clseq_option old = *option;
    if (option->given)
        old.value = &scratch;
    CLSEQ__RETURN_IF(clseq__run_read(reader, &old));
    if (option->given)
        return compare(run, option, &old);
    return option->kind == CLSEQ_OPTION_TEXT ? keep_text(run, option->value) : CLSEQ_OK;
}

clseq_status clseq__run_restore_options(clseq_run *run)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *reader = NULL;
    CLSEQ__TRY(clseq__st_open(run->desc.checkpoint, &reader));
    for (size_t i = 0; i < run->desc.option_count; i++)
        if (run->desc.options[i].rule != CLSEQ_OPTION_PASSES)
            CLSEQ__TRY(restore(run, reader, &run->desc.options[i]));
done:
    clseq__st_close(reader);
    return status;
}
