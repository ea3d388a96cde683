/* Lines of kernel source as the preprocessor sees them: what source.c has to know of a file without compiling it. */
#ifndef CLSEQ_CORE_DIRECTIVE_H
#define CLSEQ_CORE_DIRECTIVE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum clseq__line_kind {
    CLSEQ__LINE_OTHER,
    CLSEQ__LINE_INCLUDE,  /* #include "text" */
    CLSEQ__LINE_DEFINE,   /* #define text */
    CLSEQ__LINE_UNDEF,    /* #undef text */
    CLSEQ__LINE_IF,       /* #if, #ifdef, #ifndef */
    CLSEQ__LINE_ELSE,     /* #elif, #else */
    CLSEQ__LINE_ENDIF,    /* #endif */
    CLSEQ__LINE_PRAGMA,   /* #pragma text */
    CLSEQ__LINE_FUNCTION, /* a definition of the function `text` that begins with the word static */
    CLSEQ__LINE_RECORD,   /* CLSEQ_RECORD(text, ..): a record (cl/core/record.h) */
    CLSEQ__LINE_KINDS
} clseq__line_kind;

typedef struct clseq__line {
    clseq__line_kind kind;
    const char *text;
    size_t length;
} clseq__line;

/* Where the lines read so far leave the next one. Zero before a file's first line. */
typedef struct clseq__line_state {
    bool in_comment; /* within a comment of several lines */
    bool continued;  /* the line before ended with a backslash */
} clseq__line_state;

/* Reads one line of `length` characters, its end not among them. */
clseq__line clseq__line_read(clseq__line_state *state, const char *line, size_t length);

/* Whether a character may stand in a name. */
bool clseq__is_name_character(char c);

#endif
