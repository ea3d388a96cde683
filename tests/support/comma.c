#include "support/comma.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

bool comma_locale(void)
{
    if (system("localedef -i de_DE -f UTF-8 ./de_DE.UTF-8 >/dev/null 2>&1") != 0)
        return false;
    return setenv("LOCPATH", ".", 1) == 0 && setlocale(LC_ALL, "de_DE.UTF-8") &&
           strcmp(localeconv()->decimal_point, ",") == 0;
}
