/* How the library's own code reports failure: one sentence, one status, one way out of a function. */
#ifndef CLSEQ_CORE_ERROR_H
#define CLSEQ_CORE_ERROR_H

#include <clseq/status.h>
#include <stdbool.h>

#if defined(__GNUC__)
#define CLSEQ__PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define CLSEQ__PRINTF(text, first)
#endif

/* Records the sentence for this thread and returns `status`: return clseq__error(CLSEQ_INVALID_SHAPE, "x:
 * ..."); */
clseq_status clseq__error(clseq_status status, const char *format, ...) CLSEQ__PRINTF(2, 3);

/*
 * CLSEQ_INVALID_ARGUMENT for a handle that is NULL: "gemm: ctx is NULL". Where an earlier call could not make a handle,
 * the sentence begins with why ("context create: there is no device; then gemm: ctx is NULL"), through any number of
 * calls that follow from each other.
 */
clseq_status clseq__error_null(const char *op, const char *argument);

/*
 * At the end of a function that makes a handle: returns `status` and keeps the sentence of a failure for
 * clseq__error_null, until the same function succeeds. `op` is a static string.
 */
clseq_status clseq__made(const char *op, clseq_status status);

/* The status that stands for an OpenCL error code: a special one for lack of memory, device or compiler,
 * CLSEQ_OPENCL_ERROR for most, CLSEQ_OK for CL_SUCCESS. */
clseq_status clseq__cl_status(int code);

/* As clseq__error, from an OpenCL error code: the sentence names the code and the text of the call. */
clseq_status clseq__cl_error(int code, const char *call);

/* The symbolic name of an OpenCL error code, "CL_UNKNOWN" for others. */
const char *clseq__cl_error_name(int code);

void clseq__log(clseq_log_level level, const char *format, ...) CLSEQ__PRINTF(2, 3);

/* Whether a line of this level goes anywhere, for callers whose line is costly to make. */
bool clseq__log_shows(clseq_log_level level);

/* A text of several lines, each as a line of the log. */
void clseq__log_text(clseq_log_level level, const char *text);

/*
 * In a function with a local `clseq_status status = CLSEQ_OK;` and one `done:` label that releases and
 * returns it. A function that has nothing to release uses the RETURN forms.
 */
#define CLSEQ__TRY(expression)                   \
    do {                                         \
        if ((status = (expression)) != CLSEQ_OK) \
            goto done;                           \
    } while (0)

#define CLSEQ__FAIL(...)                    \
    do {                                    \
        status = clseq__error(__VA_ARGS__); \
        goto done;                          \
    } while (0)

/* For OpenCL calls that return their error code. */
#define CLSEQ__TRY_CL(call)                               \
    do {                                                  \
        int clseq_code_ = (call);                         \
        if (clseq_code_ != 0) {                           \
            status = clseq__cl_error(clseq_code_, #call); \
            goto done;                                    \
        }                                                 \
    } while (0)

#define CLSEQ__RETURN_IF(expression)               \
    do {                                           \
        clseq_status clseq_status_ = (expression); \
        if (clseq_status_ != CLSEQ_OK)             \
            return clseq_status_;                  \
    } while (0)

/* For arguments that must be given: a handle, which an earlier call may have failed to make, and any other pointer.
 * CLSEQ__NOT_NULL("gemm", args); says "gemm: args is NULL". */
#define CLSEQ__NEEDS(operation, handle)                   \
    do {                                                  \
        if (!(handle))                                    \
            return clseq__error_null(operation, #handle); \
    } while (0)

#define CLSEQ__NOT_NULL(operation, argument)                                                     \
    do {                                                                                         \
        if (!(argument))                                                                         \
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL", operation, #argument); \
    } while (0)

/* For the place of a new handle, which must be given and is NULL until it is made; comes before all other checks. */
#define CLSEQ__MAKES(operation, out)     \
    do {                                 \
        CLSEQ__NOT_NULL(operation, out); \
        *(out) = NULL;                   \
    } while (0)

#endif
