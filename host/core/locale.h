/*
 * Numbers of files and lines have a point and no groups, whatever locale the program has chosen.
 *
 *     const locale_t before = clseq__locale_enter();
 *     ... printf, strtod ...
 *     clseq__locale_leave(before);
 */
#ifndef CLSEQ_CORE_LOCALE_H
#define CLSEQ_CORE_LOCALE_H

#include <locale.h>

/* From here on this thread prints and reads as in the locale "C". */
locale_t clseq__locale_enter(void);

/* And from here on as before. Does not change errno. */
void clseq__locale_leave(locale_t before);

#endif
