#include <clseq/version.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *clseq_version(void)
{
    return TEXT(CLSEQ_VERSION_MAJOR) "." TEXT(CLSEQ_VERSION_MINOR) "." TEXT(CLSEQ_VERSION_PATCH);
}
