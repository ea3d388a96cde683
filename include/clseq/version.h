/* The version of these headers, and of the library that is linked. */
#ifndef CLSEQ_VERSION_H
#define CLSEQ_VERSION_H

#define CLSEQ_VERSION_MAJOR 0
#define CLSEQ_VERSION_MINOR 2
#define CLSEQ_VERSION_PATCH 0

/* Every public function is marked with this; the library hides all other symbols. */
#if defined(_WIN32) && defined(CLSEQ_SHARED)
#ifdef CLSEQ_BUILDING
#define CLSEQ_API __declspec(dllexport)
#else
#define CLSEQ_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define CLSEQ_API __attribute__((visibility("default")))
#else
#define CLSEQ_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Returns "MAJOR.MINOR.PATCH" of the linked library; a static string. */
CLSEQ_API const char *clseq_version(void);

#ifdef __cplusplus
}
#endif
#endif
