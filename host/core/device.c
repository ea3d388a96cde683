/* The devices there are, and the one that a selector names. */
#include <clseq/device.h>

#include "core/error.h"
#include "core/pocl.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLATFORMS_MAX 64
#define DEVICES_MAX 256

static void platform_text(cl_platform_id platform, cl_platform_info what, char *text, size_t size)
{
    text[0] = '\0';
    char whole[1024] = "";
    if (clGetPlatformInfo(platform, what, sizeof whole - 1, whole, NULL) == CL_SUCCESS)
        snprintf(text, size, "%s", whole);
}

static void device_text(cl_device_id device, cl_device_info what, char *text, size_t size)
{
    text[0] = '\0';
    char whole[1024] = "";
    if (clGetDeviceInfo(device, what, sizeof whole - 1, whole, NULL) == CL_SUCCESS)
        snprintf(text, size, "%s", whole);
}

static clseq_status describe(cl_device_id device, clseq_device_info *out)
{
    clseq_status status = CLSEQ_OK;
    clseq_device_info info = {.device = device};
    cl_uint units = 0, width = 0;
    cl_ulong global = 0, largest = 0, local = 0;
    size_t group = 0;
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_PLATFORM, sizeof info.platform, &info.platform, NULL));
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof info.type, &info.type, NULL));
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL));
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL));
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL));
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof global, &global, NULL));
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof largest, &largest, NULL));
    CLSEQ__TRY_CL(clGetDeviceInfo(device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL));
    platform_text(info.platform, CL_PLATFORM_NAME, info.platform_name, sizeof info.platform_name);
    platform_text(info.platform, CL_PLATFORM_VERSION, info.platform_version, sizeof info.platform_version);
    device_text(device, CL_DEVICE_NAME, info.name, sizeof info.name);
    device_text(device, CL_DEVICE_VERSION, info.version, sizeof info.version);
    device_text(device, CL_DRIVER_VERSION, info.driver_version, sizeof info.driver_version);
    info.compute_units = units;
    info.native_float_width = width;
    info.max_work_group_size = group;
    info.global_memory = global;
    info.max_allocation = largest;
    info.local_memory = local;
    *out = info;
done:
    return status;
}

static clseq_status list_platforms(cl_platform_id platforms[PLATFORMS_MAX], cl_uint *count)
{
    clseq_status status = CLSEQ_OK;
    *count = 0;
    int code = clGetPlatformIDs(PLATFORMS_MAX, platforms, count);
    /* The ICD loader reports an empty list of platforms as an error of its own. */
    if (code == -1001 || (code == CL_SUCCESS && *count == 0))
        CLSEQ__FAIL(CLSEQ_NO_DEVICE, "device: no OpenCL platform is installed");
    CLSEQ__TRY_CL(code);
    if (*count > PLATFORMS_MAX)
        *count = PLATFORMS_MAX;
done:
    return status;
}

/* The devices of one platform; none when it has none or cannot say, which is normal for some. */
static cl_uint list_platform_devices(cl_platform_id platform, cl_device_id devices[DEVICES_MAX])
{
    cl_uint count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, DEVICES_MAX, devices, &count) != CL_SUCCESS)
        return 0;
    return count < DEVICES_MAX ? count : DEVICES_MAX;
}

/* The sentence for platforms without devices, with the reason where it is known. */
static clseq_status no_device(const cl_platform_id *platforms, cl_uint count)
{
    char reason[1400] = "";
    for (cl_uint p = 0; p < count && reason[0] == '\0'; p++) {
        char name[128], version[128];
        platform_text(platforms[p], CL_PLATFORM_NAME, name, sizeof name);
        platform_text(platforms[p], CL_PLATFORM_VERSION, version, sizeof version);
        if (clseq__is_pocl(name, version))
            clseq__pocl_cache_trouble(reason, sizeof reason);
    }
    return clseq__error(CLSEQ_NO_DEVICE,
                        "device: %u OpenCL platforms are installed, none of them has a device%s",
                        (unsigned)count, reason);
}

clseq_status clseq_device_list(clseq_device_info *out, size_t capacity, size_t *count)
{
    if (count == NULL || (out == NULL && capacity > 0))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "device list: %s is NULL",
                            count == NULL ? "count" : "out");
    *count = 0;
    cl_platform_id platforms[PLATFORMS_MAX];
    cl_uint platform_count = 0;
    CLSEQ__RETURN_IF(list_platforms(platforms, &platform_count));
    for (cl_uint p = 0; p < platform_count; p++) {
        cl_device_id devices[DEVICES_MAX];
        cl_uint device_count = list_platform_devices(platforms[p], devices);
        for (cl_uint d = 0; d < device_count; d++) {
            clseq_device_info info;
            if (describe(devices[d], &info) != CLSEQ_OK) {
                clseq__log(CLSEQ_LOG_WARN, "device %u:%u is passed over: %s", (unsigned)p, (unsigned)d,
                           clseq_last_error());
                continue;
            }
            info.platform_index = (int)p;
            info.device_index = (int)d;
            if (*count < capacity)
                out[*count] = info;
            (*count)++;
        }
    }
    if (*count == 0)
        return no_device(platforms, platform_count);
    return CLSEQ_OK;
}

clseq_status clseq_device_describe(cl_device_id device, clseq_device_info *out)
{
    CLSEQ__NOT_NULL("device describe", out);
    CLSEQ__NOT_NULL("device describe", device);
    CLSEQ__RETURN_IF(describe(device, out));
    out->platform_index = -1;
    out->device_index = -1;
    cl_platform_id platforms[PLATFORMS_MAX];
    cl_uint platform_count = 0;
    CLSEQ__RETURN_IF(list_platforms(platforms, &platform_count));
    for (cl_uint p = 0; p < platform_count; p++) {
        if (platforms[p] != out->platform)
            continue;
        out->platform_index = (int)p;
        cl_device_id devices[DEVICES_MAX];
        cl_uint device_count = list_platform_devices(platforms[p], devices);
        for (cl_uint d = 0; d < device_count; d++)
            if (devices[d] == device)
                out->device_index = (int)d;
    }
    return CLSEQ_OK;
}

/* Whether `part` (of `length` characters) occurs in `text`, in any case. */
static bool contains(const char *text, const char *part, size_t length)
{
    for (; strlen(text) >= length; text++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length)
            return true;
        if (*text == '\0')
            break;
    }
    return false;
}

/* The number that `text` is, or -1 when it is not only digits. */
static long as_index(const char *text, size_t length)
{
    if (length == 0 || length > 6)
        return -1;
    long value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* A platform is known by its name or its version: PoCL names itself only in the latter. */
static bool platform_matches(const clseq_device_info *info, const char *part, size_t length)
{
    long index = as_index(part, length);
    if (index >= 0)
        return info->platform_index == index;
    return contains(info->platform_name, part, length) || contains(info->platform_version, part, length);
}

static bool device_matches(const clseq_device_info *info, const char *part, size_t length)
{
    long index = as_index(part, length);
    return index >= 0 ? info->device_index == index : contains(info->name, part, length);
}

/* Whether device number `position` of the list is one that the selector names. */
static bool selector_matches(const char *selector, const clseq_device_info *info, size_t position)
{
    size_t length = strlen(selector);
    const char *colon = strchr(selector, ':');
    if (colon != NULL) {
        size_t platform = (size_t)(colon - selector);
        return (platform == 0 || platform_matches(info, selector, platform)) &&
               (colon[1] == '\0' || device_matches(info, colon + 1, length - platform - 1));
    }
    long index = as_index(selector, length);
    if (index >= 0)
        return (size_t)index == position;
    return platform_matches(info, selector, length) || device_matches(info, selector, length);
}

static int rank_of_type(cl_device_type type)
{
    return (type & CL_DEVICE_TYPE_GPU)           ? 3
           : (type & CL_DEVICE_TYPE_ACCELERATOR) ? 2
           : (type & CL_DEVICE_TYPE_CPU)         ? 1
                                                 : 0;
}

/* The sentence for a selector that names nothing: it lists what could have been named. */
static clseq_status no_match(const char *selector, const clseq_device_info *devices, size_t count)
{
    char text[2048] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof text; i++) {
        int more = snprintf(text + used, sizeof text - used, "%s %d:%d %s:%s", i == 0 ? "" : ",",
                            devices[i].platform_index, devices[i].device_index, devices[i].platform_name,
                            devices[i].name);
        used += more > 0 ? (size_t)more : 0;
    }
    return clseq__error(CLSEQ_NO_DEVICE, "device: none matches \"%s\"; there is%s", selector, text);
}

clseq_status clseq_device_find(const char *selector, clseq_device_info *out)
{
    CLSEQ__NOT_NULL("device find", out);
    clseq_status status = CLSEQ_OK;
    clseq_device_info *devices = NULL;
    const clseq_device_info *best = NULL;
    size_t count = 0;
    if (selector == NULL || selector[0] == '\0')
        selector = getenv("CLSEQ_DEVICE");
    if (selector == NULL)
        selector = "";

    devices = calloc(DEVICES_MAX, sizeof *devices);
    if (devices == NULL)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "device find: no memory for the list of devices");
    CLSEQ__TRY(clseq_device_list(devices, DEVICES_MAX, &count));
    if (count > DEVICES_MAX)
        count = DEVICES_MAX;
    for (size_t i = 0; i < count; i++)
        if ((selector[0] == '\0' || selector_matches(selector, &devices[i], i)) &&
            (best == NULL || rank_of_type(devices[i].type) > rank_of_type(best->type)))
            best = &devices[i];
    if (best == NULL)
        CLSEQ__TRY(no_match(selector, devices, count));
    *out = *best;
done:
    free(devices);
    return status;
}
