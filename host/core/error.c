/* The sentence of a thread's last failure, and the names of status and OpenCL codes. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Long enough for a list of devices or the first lines of a build log. */
#define SENTENCE_SIZE 4096

static _Thread_local char sentence[SENTENCE_SIZE];

/* Why a handle could not be made, which function was to make it, and whether `sentence` only follows from that. */
static _Thread_local char cause[SENTENCE_SIZE];
static _Thread_local const char *cause_op;
static _Thread_local bool follows;

const char *clseq_last_error(void)
{
    return sentence;
}

const char *clseq_status_name(clseq_status status)
{
    static const char *const names[] = {
#define STATUS_NAME(name, value, text) [value] = #name,
        CLSEQ_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    };
    return (unsigned)status < (unsigned)CLSEQ_STATUS_COUNT ? names[status] : "UNKNOWN";
}

const char *clseq_status_text(clseq_status status)
{
    static const char *const texts[] = {
#define STATUS_TEXT(name, value, text) [value] = text,
        CLSEQ_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    };
    return (unsigned)status < (unsigned)CLSEQ_STATUS_COUNT ? texts[status] : "not a status of this library";
}

clseq_status clseq__error(clseq_status status, const char *format, ...)
{
    /* The arguments may point into the old sentence, so the new one is made beside it. */
    char text[SENTENCE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(sentence, text, strlen(text) + 1);
    follows = false;
    return status;
}

clseq_status clseq__error_null(const char *op, const char *argument)
{
    clseq__error(CLSEQ_INVALID_ARGUMENT, "%s%s%s: %s is NULL", cause, cause[0] ? "; then " : "", op,
                 argument);
    follows = true;
    return CLSEQ_INVALID_ARGUMENT;
}

clseq_status clseq__made(const char *op, clseq_status status)
{
    if (status == CLSEQ_OK && cause_op && strcmp(op, cause_op) == 0)
        cause[0] = '\0';
    if (status != CLSEQ_OK && !follows) {
        memcpy(cause, sentence, sizeof cause);
        cause_op = op;
    }
    return status;
}

typedef struct code_name {
    int code;
    const char *name;
} code_name;

/* The codes of OpenCL 1.2 and of the ICD loader, written out so that this file needs no OpenCL header. */
static const code_name code_names[] = {
    {0, "CL_SUCCESS"},
    {-1, "CL_DEVICE_NOT_FOUND"},
    {-2, "CL_DEVICE_NOT_AVAILABLE"},
    {-3, "CL_COMPILER_NOT_AVAILABLE"},
    {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
    {-5, "CL_OUT_OF_RESOURCES"},
    {-6, "CL_OUT_OF_HOST_MEMORY"},
    {-7, "CL_PROFILING_INFO_NOT_AVAILABLE"},
    {-8, "CL_MEM_COPY_OVERLAP"},
    {-9, "CL_IMAGE_FORMAT_MISMATCH"},
    {-10, "CL_IMAGE_FORMAT_NOT_SUPPORTED"},
    {-11, "CL_BUILD_PROGRAM_FAILURE"},
    {-12, "CL_MAP_FAILURE"},
    {-13, "CL_MISALIGNED_SUB_BUFFER_OFFSET"},
    {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
    {-15, "CL_COMPILE_PROGRAM_FAILURE"},
    {-16, "CL_LINKER_NOT_AVAILABLE"},
    {-17, "CL_LINK_PROGRAM_FAILURE"},
    {-18, "CL_DEVICE_PARTITION_FAILED"},
    {-19, "CL_KERNEL_ARG_INFO_NOT_AVAILABLE"},
    {-30, "CL_INVALID_VALUE"},
    {-31, "CL_INVALID_DEVICE_TYPE"},
    {-32, "CL_INVALID_PLATFORM"},
    {-33, "CL_INVALID_DEVICE"},
    {-34, "CL_INVALID_CONTEXT"},
    {-35, "CL_INVALID_QUEUE_PROPERTIES"},
    {-36, "CL_INVALID_COMMAND_QUEUE"},
    {-37, "CL_INVALID_HOST_PTR"},
    {-38, "CL_INVALID_MEM_OBJECT"},
    {-39, "CL_INVALID_IMAGE_FORMAT_DESCRIPTOR"},
    {-40, "CL_INVALID_IMAGE_SIZE"},
    {-41, "CL_INVALID_SAMPLER"},
    {-42, "CL_INVALID_BINARY"},
    {-43, "CL_INVALID_BUILD_OPTIONS"},
    {-44, "CL_INVALID_PROGRAM"},
    {-45, "CL_INVALID_PROGRAM_EXECUTABLE"},
    {-46, "CL_INVALID_KERNEL_NAME"},
    {-47, "CL_INVALID_KERNEL_DEFINITION"},
    {-48, "CL_INVALID_KERNEL"},
    {-49, "CL_INVALID_ARG_INDEX"},
    {-50, "CL_INVALID_ARG_VALUE"},
    {-51, "CL_INVALID_ARG_SIZE"},
    {-52, "CL_INVALID_KERNEL_ARGS"},
    {-53, "CL_INVALID_WORK_DIMENSION"},
    {-54, "CL_INVALID_WORK_GROUP_SIZE"},
    {-55, "CL_INVALID_WORK_ITEM_SIZE"},
    {-56, "CL_INVALID_GLOBAL_OFFSET"},
    {-57, "CL_INVALID_EVENT_WAIT_LIST"},
    {-58, "CL_INVALID_EVENT"},
    {-59, "CL_INVALID_OPERATION"},
    {-61, "CL_INVALID_BUFFER_SIZE"},
    {-63, "CL_INVALID_GLOBAL_WORK_SIZE"},
    {-64, "CL_INVALID_PROPERTY"},
    {-66, "CL_INVALID_COMPILER_OPTIONS"},
    {-67, "CL_INVALID_LINKER_OPTIONS"},
    {-68, "CL_INVALID_DEVICE_PARTITION_COUNT"},
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
};

const char *clseq__cl_error_name(int code)
{
    for (size_t i = 0; i < sizeof code_names / sizeof code_names[0]; i++)
        if (code_names[i].code == code)
            return code_names[i].name;
    return "CL_UNKNOWN";
}

clseq_status clseq__cl_status(int code)
{
    static const struct {
        int code;
        clseq_status status;
    } statuses[] = {
        {0, CLSEQ_OK},
        {-1, CLSEQ_NO_DEVICE},
        {-2, CLSEQ_NO_DEVICE},
        {-3, CLSEQ_UNSUPPORTED},
        {-4, CLSEQ_OUT_OF_DEVICE_MEMORY},
        {-6, CLSEQ_OUT_OF_HOST_MEMORY},
        {-11, CLSEQ_BUILD_FAILED},
        {-1001, CLSEQ_NO_DEVICE},
    };
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].code == code)
            return statuses[i].status;
    return CLSEQ_OPENCL_ERROR;
}

clseq_status clseq__cl_error(int code, const char *call)
{
    return clseq__error(clseq__cl_status(code), "OpenCL: %s gave %s (%d)", call, clseq__cl_error_name(code),
                        code);
}
