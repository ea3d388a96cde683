/* Listing devices and choosing one. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/faults.h"
#include <clseq/device.h>

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES 32

static size_t list(clseq_device_info devices[DEVICES])
{
    size_t count = 0;
    cr_assert_eq(clseq_device_list(devices, DEVICES, &count), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert(count > 0);
    return count < DEVICES ? count : DEVICES;
}

static void upper(char *text)
{
    for (; *text != '\0'; text++)
        *text = (char)toupper((unsigned char)*text);
}

Test(core_device, list_counts_beyond_its_capacity)
{
    clseq_device_info devices[DEVICES];
    size_t count = list(devices), again = 0;
    cr_assert_eq(clseq_device_list(NULL, 0, &again), CLSEQ_OK);
    cr_assert_eq(again, count);
    for (size_t i = 0; i < count; i++) {
        cr_assert(devices[i].device != NULL && devices[i].platform != NULL);
        cr_assert(strlen(devices[i].name) > 0 && strlen(devices[i].platform_name) > 0);
        cr_assert(devices[i].max_allocation > 0 && devices[i].compute_units > 0);
        cr_assert(devices[i].max_allocation <= devices[i].global_memory);
    }
}

Test(core_device, a_selector_of_indices_names_every_device)
{
    clseq_device_info devices[DEVICES], found;
    size_t count = list(devices);
    for (size_t i = 0; i < count; i++) {
        char selector[64];
        snprintf(selector, sizeof selector, "%d:%d", devices[i].platform_index, devices[i].device_index);
        cr_assert_eq(clseq_device_find(selector, &found), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(found.device, devices[i].device);
        snprintf(selector, sizeof selector, "%zu", i);
        cr_assert_eq(clseq_device_find(selector, &found), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(found.device, devices[i].device);
    }
}

Test(core_device, a_selector_of_names_in_any_case)
{
    clseq_device_info devices[DEVICES], found;
    list(devices);
    char selector[512];
    snprintf(selector, sizeof selector, "%s:%s", devices[0].platform_name, devices[0].name);
    if (strchr(devices[0].platform_name, ':') == NULL) {
        cr_assert_eq(clseq_device_find(selector, &found), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_str_eq(found.name, devices[0].name);
        upper(selector);
        cr_assert_eq(clseq_device_find(selector, &found), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_str_eq(found.name, devices[0].name);
    }
    /* A part of the platform's name, its version, with and without the colon. */
    snprintf(selector, sizeof selector, "%.4s:", devices[0].platform_name + 1);
    cr_assert_eq(clseq_device_find(selector, &found), CLSEQ_OK, "%s", clseq_last_error());
    snprintf(selector, sizeof selector, "%s", devices[0].platform_name);
    cr_assert_eq(clseq_device_find(selector, &found), CLSEQ_OK, "%s", clseq_last_error());
    snprintf(selector, sizeof selector, "%s:", devices[0].platform_version);
    cr_assert_eq(clseq_device_find(selector, &found), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_device_find(":0", &found), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(found.device_index, 0);
}

static int rank(cl_device_type type)
{
    return (type & CL_DEVICE_TYPE_GPU)           ? 3
           : (type & CL_DEVICE_TYPE_ACCELERATOR) ? 2
           : (type & CL_DEVICE_TYPE_CPU)         ? 1
                                                 : 0;
}

Test(core_device, without_a_selector_the_best_kind)
{
    clseq_device_info devices[DEVICES], found;
    size_t count = list(devices), first = 0;
    unsetenv("CLSEQ_DEVICE");
    for (size_t i = 1; i < count; i++)
        if (rank(devices[i].type) > rank(devices[first].type))
            first = i;
    cr_assert_eq(clseq_device_find(NULL, &found), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(found.device, devices[first].device);
    cr_assert_eq(clseq_device_find("", &found), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(found.device, devices[first].device);
}

/* Devices that are not there, each on a platform of its own; an id is the place in the list and 1. */
typedef struct fake {
    cl_device_type type;
    const char *name;
    bool broken; /* says nothing of itself */
} fake;

static const fake *fakes;
static cl_uint fake_count;

static const fake *fake_of(const void *id)
{
    return &fakes[(uintptr_t)id - 1];
}

static cl_int copy_out(const void *from, size_t length, size_t size, void *value)
{
    if (length > size)
        return CL_INVALID_VALUE;
    memset(value, 0, size);
    memcpy(value, from, length);
    return CL_SUCCESS;
}

static cl_int fake_platform_ids(cl_uint n, cl_platform_id *ids, cl_uint *count)
{
    *count = fake_count;
    for (cl_uint i = 0; i < n && i < fake_count; i++)
        ids[i] = (cl_platform_id)(uintptr_t)(i + 1);
    return CL_SUCCESS;
}

static cl_int fake_device_ids(cl_platform_id platform, cl_device_type type, cl_uint n, cl_device_id *ids,
                              cl_uint *count)
{
    (void)type, (void)n;
    ids[0] = (cl_device_id)platform;
    *count = 1;
    return CL_SUCCESS;
}

static cl_int fake_platform_info(cl_platform_id platform, cl_platform_info what, size_t size, void *value,
                                 size_t *actual)
{
    char text[64];
    (void)actual;
    snprintf(text, sizeof text, "%s of %s", what == CL_PLATFORM_NAME ? "platform" : "version",
             fake_of(platform)->name);
    return copy_out(text, strlen(text) + 1, size, value);
}

static cl_int fake_device_info(cl_device_id device, cl_device_info what, size_t size, void *value,
                               size_t *actual)
{
    const fake *f = fake_of(device);
    const cl_ulong number = 64;
    (void)actual;
    if (f->broken)
        return CL_DEVICE_NOT_AVAILABLE;
    if (what == CL_DEVICE_PLATFORM)
        return copy_out(&device, sizeof device, size, value);
    if (what == CL_DEVICE_TYPE)
        return copy_out(&f->type, sizeof f->type, size, value);
    if (what == CL_DEVICE_NAME || what == CL_DEVICE_VERSION || what == CL_DRIVER_VERSION)
        return copy_out(f->name, strlen(f->name) + 1, size, value);
    return copy_out(&number, size, size, value);
}

static void fake_devices(const fake *list, size_t count)
{
    fakes = list;
    fake_count = (cl_uint)count;
    faults_answers = (faults_answerers){.clGetPlatformIDs = fake_platform_ids,
                                        .clGetPlatformInfo = fake_platform_info,
                                        .clGetDeviceIDs = fake_device_ids,
                                        .clGetDeviceInfo = fake_device_info};
}

Test(core_device, graphics_come_before_accelerators_and_those_before_processors)
{
    enum { MOST = 4 };
    static const struct {
        fake devices[MOST];
        const char *selector, *best;
    } cases[] = {
        {{{CL_DEVICE_TYPE_CPU, "c", 0}, {CL_DEVICE_TYPE_GPU, "g", 0}}, "", "g"},
        {{{CL_DEVICE_TYPE_GPU, "g", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}}, "", "g"},
        {{{CL_DEVICE_TYPE_CPU, "c", 0}, {CL_DEVICE_TYPE_ACCELERATOR, "a", 0}}, "", "a"},
        {{{CL_DEVICE_TYPE_ACCELERATOR, "a", 0}, {CL_DEVICE_TYPE_GPU, "g", 0}}, "", "g"},
        {{{CL_DEVICE_TYPE_CUSTOM, "x", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}}, "", "c"},
        {{{CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_DEFAULT, "c", 0}, {CL_DEVICE_TYPE_CPU, "d", 0}}, "", "c"},
        {{{CL_DEVICE_TYPE_GPU, "one", 0}, {CL_DEVICE_TYPE_GPU, "two", 0}}, "", "one"},
        {{{CL_DEVICE_TYPE_GPU, "bad", 1}, {CL_DEVICE_TYPE_CPU, "c", 0}}, "", "c"},
        /* A selector goes first, then the kind. */
        {{{CL_DEVICE_TYPE_GPU, "other", 0},
          {CL_DEVICE_TYPE_CPU, "mine 1", 0},
          {CL_DEVICE_TYPE_GPU, "mine 2", 0}},
         "mine",
         "mine 2"},
        {{{CL_DEVICE_TYPE_GPU, "g", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}}, "1", "c"},
        {{{CL_DEVICE_TYPE_GPU, "g", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}}, "1:", "c"},
        {{{CL_DEVICE_TYPE_GPU, "g", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}}, "PLATFORM OF C:0", "c"},
        {{{CL_DEVICE_TYPE_GPU, "g", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}}, "version of c", "c"},
        {{{CL_DEVICE_TYPE_GPU, "g", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}}, ":c", "c"},
        {{{CL_DEVICE_TYPE_GPU, "bad", 1}, {CL_DEVICE_TYPE_GPU, "g", 0}, {CL_DEVICE_TYPE_CPU, "c", 0}},
         "2:0",
         "c"},
    };
    unsetenv("CLSEQ_DEVICE");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clseq_device_info found;
        size_t count = 0;
        while (count < MOST && cases[i].devices[count].name != NULL)
            count++;
        fake_devices(cases[i].devices, count);
        cr_assert_eq(clseq_device_find(cases[i].selector, &found), CLSEQ_OK, "%zu: %s", i,
                     clseq_last_error());
        cr_assert_str_eq(found.name, cases[i].best, "case %zu", i);
        cr_assert_str_eq(found.driver_version, cases[i].best);
        cr_assert_eq(found.device, (cl_device_id)(uintptr_t)(found.platform_index + 1));
        cr_assert_str_eq(fake_of(found.device)->name, cases[i].best);
    }
}

Test(core_device, devices_that_say_nothing_of_themselves_are_none)
{
    static const fake broken[] = {{CL_DEVICE_TYPE_GPU, "a", true}, {CL_DEVICE_TYPE_CPU, "b", true}};
    clseq_device_info found;
    unsetenv("CLSEQ_DEVICE");
    fake_devices(broken, 2);
    cr_assert_eq(clseq_device_find(NULL, &found), CLSEQ_NO_DEVICE);
    cr_assert(strstr(clseq_last_error(), "2 OpenCL platforms are installed, none of them has a device") !=
                  NULL,
              "%s", clseq_last_error());
}

Test(core_device, the_environment_names_the_device_that_no_selector_does)
{
    clseq_device_info found;
    setenv("CLSEQ_DEVICE", "no such platform:", 1);
    cr_assert_eq(clseq_device_find(NULL, &found), CLSEQ_NO_DEVICE);
    cr_assert(strstr(clseq_last_error(), "no such platform:") != NULL, "%s", clseq_last_error());
    cr_assert_eq(clseq_device_find(":0", &found), CLSEQ_OK, "%s", clseq_last_error());
}

Test(core_device, when_none_matches_the_sentence_lists_what_there_is)
{
    clseq_device_info devices[DEVICES], found;
    list(devices);
    static const char *const selectors[] = {"no such device", ":no such device", "63:", ":255",
                                            "9999",           "no:such:device"};
    for (size_t i = 0; i < sizeof selectors / sizeof selectors[0]; i++) {
        cr_assert_eq(clseq_device_find(selectors[i], &found), CLSEQ_NO_DEVICE, "%s", selectors[i]);
        cr_assert(strstr(clseq_last_error(), selectors[i]) != NULL, "%s", clseq_last_error());
        cr_assert(strstr(clseq_last_error(), devices[0].name) != NULL, "%s", clseq_last_error());
    }
}

Test(core_device, describe_agrees_with_the_list)
{
    clseq_device_info devices[DEVICES], one;
    list(devices);
    cr_assert_eq(clseq_device_describe(devices[0].device, &one), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(one.platform_index, devices[0].platform_index);
    cr_assert_eq(one.device_index, devices[0].device_index);
    cr_assert_str_eq(one.name, devices[0].name);
    cr_assert_str_eq(one.driver_version, devices[0].driver_version);
    cr_assert_eq(one.compute_units, devices[0].compute_units);
}

Test(core_device, missing_arguments)
{
    clseq_device_info one;
    size_t count;
    cr_assert_eq(clseq_device_list(NULL, 1, &count), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_device_list(&one, 1, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_device_find("", NULL), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_device_describe(NULL, &one), CLSEQ_INVALID_ARGUMENT);
}

Test(core_device, no_platform_is_no_device)
{
    /* The loader reads these when it is first called, in this process. An interpreter that stands in for the
     * loader has a platform always; it runs the small tests. */
    if (test_small())
        return;
    setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
    setenv("OCL_ICD_FILENAMES", "", 1);
    size_t count = 7;
    clseq_device_info found;
    cr_assert_eq(clseq_device_list(NULL, 0, &count), CLSEQ_NO_DEVICE);
    cr_assert_eq(count, 0);
    cr_assert(strstr(clseq_last_error(), "no OpenCL platform") != NULL, "%s", clseq_last_error());
    cr_assert_eq(clseq_device_find(NULL, &found), CLSEQ_NO_DEVICE);
}
