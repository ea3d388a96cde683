/* Status names, the sentence of the last failure, the log. */
#include <criterion/criterion.h>

#include <CL/cl.h>
#include <criterion/redirect.h>

#include "core/error.h"
#include "support/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(core_status, every_status_has_a_name_and_a_text)
{
    cr_assert_str_eq(clseq_status_name(CLSEQ_OK), "OK");
    cr_assert_str_eq(clseq_status_name(CLSEQ_INVALID_SHAPE), "INVALID_SHAPE");
    for (int i = 0; i < CLSEQ_STATUS_COUNT; i++) {
        cr_assert(strlen(clseq_status_name((clseq_status)i)) > 0);
        cr_assert(strlen(clseq_status_text((clseq_status)i)) > 0);
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(clseq_status_name((clseq_status)i), clseq_status_name((clseq_status)j));
    }
    cr_assert_str_eq(clseq_status_name(CLSEQ_STATUS_COUNT), "UNKNOWN");
    cr_assert_str_eq(clseq_status_name((clseq_status)-1), "UNKNOWN");
    cr_assert(strlen(clseq_status_text((clseq_status)-1)) > 0);
}

Test(core_status, version_is_that_of_the_headers)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", CLSEQ_VERSION_MAJOR, CLSEQ_VERSION_MINOR, CLSEQ_VERSION_PATCH);
    cr_assert_str_eq(clseq_version(), text);
}

Test(core_status, sentence_of_the_last_failure)
{
    cr_assert_str_eq(clseq_last_error(), "");
    cr_assert_eq(clseq__error(CLSEQ_NOT_FOUND, "no %s among %d", "x", 3), CLSEQ_NOT_FOUND);
    cr_assert_str_eq(clseq_last_error(), "no x among 3");
    cr_assert_eq(clseq__error(CLSEQ_IO_ERROR, "%s (in y)", clseq_last_error()), CLSEQ_IO_ERROR);
    cr_assert_str_eq(clseq_last_error(), "no x among 3 (in y)");
}

Test(core_status, a_sentence_that_is_too_long_is_cut)
{
    char *text = malloc(100001);
    memset(text, 'a', 100000);
    text[100000] = '\0';
    clseq__error(CLSEQ_IO_ERROR, "%s", text);
    size_t length = strlen(clseq_last_error());
    cr_assert(length > 1000 && length < 100000);
    cr_assert_eq(strspn(clseq_last_error(), "a"), length);
    free(text);
}

static void *other_thread(void *result)
{
    if (strcmp(clseq_last_error(), "") == 0)
        *(int *)result += 1;
    clseq__error(CLSEQ_IO_ERROR, "of the other thread");
    if (strcmp(clseq_last_error(), "of the other thread") == 0)
        *(int *)result += 1;
    return NULL;
}

Test(core_status, every_thread_has_its_own_sentence)
{
    pthread_t thread;
    int passed = 0;
    clseq__error(CLSEQ_NOT_FOUND, "of this thread");
    cr_assert_eq(pthread_create(&thread, NULL, other_thread, &passed), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(passed, 2);
    cr_assert_str_eq(clseq_last_error(), "of this thread");
}

Test(core_status, codes_of_opencl)
{
    cr_assert_eq(clseq__cl_error(-4, "clCreateBuffer(...)"), CLSEQ_OUT_OF_DEVICE_MEMORY);
    cr_assert_str_eq(clseq_last_error(),
                     "OpenCL: clCreateBuffer(...) gave CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)");
    cr_assert_eq(clseq__cl_error(-6, "f"), CLSEQ_OUT_OF_HOST_MEMORY);
    cr_assert_eq(clseq__cl_error(-1001, "f"), CLSEQ_NO_DEVICE);
    cr_assert_eq(clseq__cl_error(-30, "f"), CLSEQ_OPENCL_ERROR);
    cr_assert_eq(clseq__cl_error(-987654, "f"), CLSEQ_OPENCL_ERROR);
    cr_assert(strstr(clseq_last_error(), "CL_UNKNOWN (-987654)") != NULL);
    cr_assert_str_eq(clseq__cl_error_name(0), "CL_SUCCESS");
}

Test(core_status, log_keeps_to_its_level)
{
    log_capture(CLSEQ_LOG_WARN);
    clseq__log(CLSEQ_LOG_ERROR, "one %d", 1);
    clseq__log(CLSEQ_LOG_WARN, "two");
    clseq__log(CLSEQ_LOG_INFO, "three");
    clseq__log_text(CLSEQ_LOG_WARN, "four\n\nfive\nsix");
    cr_assert_str_eq(log_text(), "error: one 1\nwarn: two\nwarn: four\nwarn: five\nwarn: six\n");
    cr_assert(clseq__log_shows(CLSEQ_LOG_WARN) && !clseq__log_shows(CLSEQ_LOG_INFO));
}

Test(core_status, log_of_the_environment_goes_to_stderr, .init = cr_redirect_stderr)
{
    setenv("CLSEQ_LOG", "info", 1);
    clseq__log(CLSEQ_LOG_INFO, "shown");
    clseq__log(CLSEQ_LOG_DEBUG, "not shown");
    fflush(stderr);
    cr_assert_stderr_eq_str("clseq info: shown\n");
}

Test(core_status, log_is_silent_unless_asked, .init = cr_redirect_stderr)
{
    unsetenv("CLSEQ_LOG");
    clseq__log(CLSEQ_LOG_ERROR, "nobody asked");
    setenv("CLSEQ_LOG", "debug", 1);
    clseq_set_log(NULL, NULL, CLSEQ_LOG_DEBUG);
    clseq__log(CLSEQ_LOG_ERROR, "turned off");
    fprintf(stderr, "end\n");
    fflush(stderr);
    cr_assert_stderr_eq_str("end\n");
}

Test(core_status, a_short_sentence_replaces_a_long_one)
{
    clseq__error(CLSEQ_IO_ERROR, "%s", "a long sentence");
    clseq__error(CLSEQ_IO_ERROR, "%s", "short");
    cr_assert_str_eq(clseq_last_error(), "short");
}

Test(core_status, a_device_that_is_gone_is_no_device)
{
    static const int codes[] = {CL_DEVICE_NOT_FOUND, CL_DEVICE_NOT_AVAILABLE, -1001};
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(clseq__cl_status(codes[i]), CLSEQ_NO_DEVICE, "%d", codes[i]);
}

Test(core_status, a_log_keeps_long_lines)
{
    char line[1025] = {0};
    memset(line, 'x', sizeof line - 1);
    log_capture(CLSEQ_LOG_INFO);
    clseq__log_text(CLSEQ_LOG_INFO, line);
    cr_assert(log_contains(line), "%s", log_text());
}
