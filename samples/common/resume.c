#include "common/resume.h"
#include "common/escape.h"
#include "common/output.h"
#include <stdlib.h>
#include <string.h>

size_t meta_write(const setting *table, size_t n, clseq_meta *meta, size_t count)
{
    char text[SETTING_TEXT_SIZE];
    for (size_t i = 0; i < n; i++) {
        if (table[i].resume == RESUME_IGNORES)
            continue;
        if (count >= MAX_META)
            fail("more than %d settings for a checkpoint", MAX_META);
        setting_write(&table[i], text);
        char *value = allocate(strlen(text) + 1);
        memcpy(value, text, strlen(text) + 1);
        meta[count++] = (clseq_meta){table[i].name, value};
    }
    return count;
}

void meta_free(clseq_meta *meta, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((char *)meta[i].value);
}

char *meta_read(const char *path, const char *key)
{
    char *value = allocate(SETTING_TEXT_SIZE);
    clseq_status status = clseq_checkpoint_meta(path, key, value, SETTING_TEXT_SIZE);
    if (status == CLSEQ_NOT_FOUND)
        fail("%s: nothing says \"%s\"; it was not written by this version of this program", path, key);
    check(status);
    return value;
}

static void refuse(const setting *s, const char *given, const char *kept, const char *path)
{
    if (s->kind == SETTING_FLAG)
        fail("--%s: the run in %s goes without it, and --resume cannot change that", s->name, path);
    fail("--%s %s: the run in %s has %s, and --resume cannot change that", s->name, given, path, kept);
}

/* `stored` becomes the setting's value, or is compared with the one that was given. */
static void resume_setting(const char *path, const setting *s, char *stored)
{
    union {
        const char *text;
        long long whole;
        double real;
        uint64_t seed;
        bool flag;
        clseq_cell cell;
    } scratch;
    setting old = *s;
    char expected[SETTING_TEXT_SIZE], before[SETTING_TEXT_SIZE], after[SETTING_TEXT_SIZE], shown[512];
    old.value = s->given ? (void *)&scratch : s->value;
    if (!setting_read(&old, stored, expected))
        fail("%s is damaged: its \"%s\" is \"%s\", expected %s", path, s->name,
             escape(stored, shown, sizeof shown), expected);
    if (!s->given)
        return;
    setting_write(&old, before);
    setting_write(s, after);
    if (strcmp(before, after) == 0)
        return;
    if (s->resume == RESUME_KEEPS)
        refuse(s, after, before, path);
    char shown_after[512];
    say("resume: %s %s -> %s\n", s->name, escape(before, shown, sizeof shown),
        escape(after, shown_after, sizeof shown_after));
}

void resume_settings(const char *path, const setting *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].resume == RESUME_IGNORES)
            continue;
        char *stored = meta_read(path, table[i].name);
        resume_setting(path, &table[i], stored);
        if (table[i].kind != SETTING_TEXT) /* a text stays where it is */
            free(stored);
    }
}
