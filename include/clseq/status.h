/*
 * Status codes, the sentence behind the last failure, and the log.
 *
 * Every function that can fail returns a clseq_status. The sentence that belongs to it (which argument, what
 * was expected, what came) is kept for the calling thread until its next failure:
 *
 *     clseq_context *ctx = NULL;
 *     if (clseq_context_create(NULL, &ctx) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *
 * The library never prints, aborts or exits (but where CLSEQ_POOL_CANARY=abort asks for it). What it would like to say
 * goes to the log: to a function of the program's own (clseq_set_log), or, when the environment variable CLSEQ_LOG is
 * set to error, warn, info or debug, to stderr.
 *
 * Functions that make a handle for `out` set it to NULL first, and clseq_tensor_create zeroes its tensor: after a failure
 * it is NULL whatever it was before.
 */
#ifndef CLSEQ_STATUS_H
#define CLSEQ_STATUS_H

#include <clseq/version.h>

/* X(name, value, what it means); values never change, new ones are added at the end */
#define CLSEQ_STATUS_LIST(X)                                                              \
    X(OK, 0, "success")                                                                   \
    X(INVALID_ARGUMENT, 1, "an argument is missing, out of range or contradicts another") \
    X(INVALID_SHAPE, 2, "a tensor has the wrong number of dimensions, sizes or strides")  \
    X(INVALID_DTYPE, 3, "a tensor has the wrong element type")                            \
    X(INVALID_STATE, 4, "the call is not allowed now")                                    \
    X(OUT_OF_BOUNDS, 5, "a view reaches beyond its buffer")                               \
    X(NO_DEVICE, 6, "no OpenCL device, or none that matches the selector")                \
    X(UNSUPPORTED, 7, "the device or this version of the library cannot do it")           \
    X(OUT_OF_HOST_MEMORY, 8, "the host has no memory left")                               \
    X(OUT_OF_DEVICE_MEMORY, 9, "the device has no memory left")                           \
    X(BUILD_FAILED, 10, "an OpenCL program did not compile")                              \
    X(OPENCL_ERROR, 11, "an OpenCL call failed")                                          \
    X(CLBLAST_ERROR, 12, "a CLBlast call failed")                                         \
    X(IO_ERROR, 13, "a file could not be read or written")                                \
    X(CORRUPT_FILE, 14, "a file is not what it claims to be")                             \
    X(NOT_FOUND, 15, "a name is not there")                                               \
    X(NOT_FINITE, 16, "a value that must be finite is NaN or infinite")

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clseq_status {
#define CLSEQ_STATUS_ENUM(name, value, text) CLSEQ_##name = value,
    CLSEQ_STATUS_LIST(CLSEQ_STATUS_ENUM)
#undef CLSEQ_STATUS_ENUM
        CLSEQ_STATUS_COUNT = 17
} clseq_status;

/* The status's name without the prefix ("INVALID_SHAPE"); "UNKNOWN" for a value that is none. A static
 * string. */
CLSEQ_API const char *clseq_status_name(clseq_status status);

/* What the status means in general; a static string. */
CLSEQ_API const char *clseq_status_text(clseq_status status);

/*
 * The sentence of the calling thread's last failure, "" when there was none. It stays valid until the next
 * call that fails on this thread. Success does not clear it. Where a handle is NULL because an earlier call on this
 * thread could not make it, the sentence begins with that call's: "device find: ...; then graph end: g is NULL".
 */
CLSEQ_API const char *clseq_last_error(void);

typedef enum clseq_log_level {
    CLSEQ_LOG_ERROR = 0, /* a failure that no status could report, for instance inside a destructor */
    CLSEQ_LOG_WARN = 1,  /* something slower or less exact is used than was to be expected */
    CLSEQ_LOG_INFO = 2,  /* programs that are compiled, schedules that are chosen */
    CLSEQ_LOG_DEBUG = 3  /* everything else */
} clseq_log_level;

/* Receives one line without a newline. May be called from any thread that calls the library. */
typedef void (*clseq_log_fn)(clseq_log_level level, const char *line, void *user);

/*
 * Sends lines of this level and all graver ones to `fn`; NULL turns the log off and ignores CLSEQ_LOG from
 * then on. Process-wide; not to be called while another thread is inside the library.
 */
CLSEQ_API void clseq_set_log(clseq_log_fn fn, void *user, clseq_log_level level);

#ifdef __cplusplus
}
#endif
#endif
