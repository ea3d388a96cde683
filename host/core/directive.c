#include "core/directive.h"

#include <string.h>

bool clseq__is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

static const char *skip_name(const char *at, const char *end)
{
    while (at < end && clseq__is_name_character(*at))
        at++;
    return at;
}

/* Behind the end of a comment that may have begun on a line before; `end` when it goes on. */
static const char *skip_comment(const char *at, const char *end, bool *in_comment)
{
    for (; at + 1 < end; at++)
        if (at[0] == '*' && at[1] == '/') {
            *in_comment = false;
            return at + 2;
        }
    return end;
}

/* Behind the closing quote, or the end of the line. */
static const char *skip_quoted(const char *at, const char *end)
{
    const char quote = *at++;
    while (at < end && *at != quote)
        at += *at == '\\' ? 2 : 1;
    return at < end ? at + 1 : end;
}

/* The first character that is neither space nor comment. */
static const char *find_begin(const char *at, const char *end, bool *in_comment)
{
    for (;;) {
        at = *in_comment ? skip_comment(at, end, in_comment) : skip_spaces(at, end);
        if (*in_comment || end - at < 2 || at[0] != '/' || at[1] != '*')
            return at;
        *in_comment = true;
        at += 2;
    }
}

/* Whether the rest of a line ends within a comment. */
static bool ends_in_comment(const char *at, const char *end)
{
    bool in_comment = false;
    while (at < end) {
        const bool two = at + 1 < end && at[0] == '/';
        if (two && at[1] == '/')
            break;
        if (two && at[1] == '*') {
            in_comment = true;
            at = skip_comment(at + 2, end, &in_comment);
        } else {
            at = *at == '"' || *at == '\'' ? skip_quoted(at, end) : at + 1;
        }
    }
    return in_comment;
}

/* What follows a directive's word. */
typedef enum operand { NOTHING, NAME, QUOTED, REST } operand;

static const struct {
    const char *word;
    clseq__line_kind kind;
    operand operand;
} directives[] = {
    {"include", CLSEQ__LINE_INCLUDE, QUOTED}, {"define", CLSEQ__LINE_DEFINE, NAME},
    {"undef", CLSEQ__LINE_UNDEF, NAME},       {"if", CLSEQ__LINE_IF, NOTHING},
    {"ifdef", CLSEQ__LINE_IF, NOTHING},       {"ifndef", CLSEQ__LINE_IF, NOTHING},
    {"elif", CLSEQ__LINE_ELSE, NOTHING},      {"else", CLSEQ__LINE_ELSE, NOTHING},
    {"endif", CLSEQ__LINE_ENDIF, NOTHING},    {"pragma", CLSEQ__LINE_PRAGMA, REST},
};

static const clseq__line other = {CLSEQ__LINE_OTHER, NULL, 0};

static bool is_word(const char *at, const char *stop, const char *word)
{
    return (size_t)(stop - at) == strlen(word) && strncmp(at, word, strlen(word)) == 0;
}

/* The line whose # stands before `at`. */
static clseq__line read_directive(const char *at, const char *end)
{
    const char *word = skip_spaces(at, end);
    at = skip_name(word, end);
    for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++) {
        if (!is_word(word, at, directives[i].word))
            continue;
        const char *text = skip_spaces(at, end), *stop = end;
        if (directives[i].operand == NAME)
            stop = skip_name(text, end);
        if (directives[i].operand == QUOTED) {
            if (text == end || *text++ != '"' || (stop = memchr(text, '"', (size_t)(end - text))) == NULL)
                return other;
        }
        return (clseq__line){directives[i].kind, text, (size_t)(stop - text)};
    }
    return other;
}

/* A line that begins with a name: the function that it defines, where its first word is static, or the record. */
static clseq__line read_definition(const char *at, const char *end)
{
    const char *stop = memchr(at, '(', (size_t)(end - at)), *word_end = skip_name(at, end);
    if (stop == NULL)
        return other;
    if (is_word(at, word_end, "CLSEQ_RECORD") && word_end == stop) {
        at = skip_spaces(stop + 1, end);
        return (clseq__line){CLSEQ__LINE_RECORD, at, (size_t)(skip_name(at, end) - at)};
    }
    if (!is_word(at, word_end, "static"))
        return other;
    const char *name = stop;
    while (name > at && clseq__is_name_character(name[-1]))
        name--;
    return name < stop ? (clseq__line){CLSEQ__LINE_FUNCTION, name, (size_t)(stop - name)} : other;
}

clseq__line clseq__line_read(clseq__line_state *state, const char *line, size_t length)
{
    const char *end = line + length, *last = end;
    const bool continues = state->continued;
    const char *begin = find_begin(line, end, &state->in_comment);
    while (last > line && last[-1] == '\r')
        last--;
    state->continued = !state->in_comment && last > line && last[-1] == '\\';
    if (state->in_comment)
        return other;
    state->in_comment = ends_in_comment(begin, end);
    if (continues || begin == end)
        return other;
    return *begin == '#' ? read_directive(begin + 1, end) : read_definition(begin, end);
}
