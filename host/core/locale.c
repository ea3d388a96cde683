#include "core/locale.h"

#include <errno.h>

locale_t clseq__locale_enter(void)
{
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain ? uselocale(plain) : (locale_t)0;
}

void clseq__locale_leave(locale_t before)
{
    const int code = errno;
    if (before)
        freelocale(uselocale(before));
    errno = code;
}
