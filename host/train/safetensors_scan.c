#include "train/safetensors_scan.h"

#include <cjson/cJSON.h>
#include <string.h>

static char *skip_space(char *at, const char *end)
{
    while (at < end && *at && strchr(" \t\r\n", *at))
        at++;
    return at;
}

/* Behind the string that begins at `at`; NULL when it does not end, or holds a control character as such. */
static char *skip_string(char *at, const char *end)
{
    for (at++; at < end && (unsigned char)*at >= 0x20; at++) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/* Behind the value that begins at `at`, by its brackets and quotes; NULL when it does not end. */
static char *skip_value(char *at, const char *end)
{
    int depth = 0;
    char *const begin = at;
    while (at < end) {
        const bool opens = *at == '{' || *at == '[', closes = *at == '}' || *at == ']', quotes = *at == '"';
        if (depth == 0 && at > begin && (quotes || opens))
            return NULL;
        if (depth == 0 && (closes || *at == ',' || skip_space(at, end) > at))
            return at > begin ? at : NULL;
        depth += opens - closes;
        at = quotes ? skip_string(at, end) : at + 1;
        if (!at || ((closes || quotes) && depth == 0))
            return at;
    }
    return NULL;
}

clseq__st_scan clseq__st_scan_begin(clseq__st_slice object)
{
    char *const end = object.text + object.size;
    return (clseq__st_scan){.at = skip_space(object.text, end), .end = end, .first = true};
}

/* Takes `sign` and the white space around it; false when something else stands there. */
static bool take(clseq__st_scan *scan, char sign)
{
    char *at = skip_space(scan->at, scan->end);
    if (at == scan->end || *at != sign)
        return false;
    scan->at = skip_space(at + 1, scan->end);
    return true;
}

clseq__st_next clseq__st_scan_next(clseq__st_scan *scan, clseq__st_slice *key, clseq__st_slice *value)
{
    char *end = NULL;
    if (scan->first && !take(scan, '{'))
        return CLSEQ__ST_MALFORMED;
    if (take(scan, '}'))
        return scan->at == scan->end ? CLSEQ__ST_END : CLSEQ__ST_TRAILING;
    if (!scan->first && !take(scan, ','))
        return CLSEQ__ST_MALFORMED;
    scan->first = false;
    if (scan->at == scan->end || *scan->at != '"' || !(end = skip_string(scan->at, scan->end)))
        return CLSEQ__ST_MALFORMED;
    *key = (clseq__st_slice){scan->at, (size_t)(end - scan->at)};
    scan->at = end;
    if (!take(scan, ':') || !(end = skip_value(scan->at, scan->end)))
        return CLSEQ__ST_MALFORMED;
    *value = (clseq__st_slice){scan->at, (size_t)(end - scan->at)};
    scan->at = end;
    return CLSEQ__ST_MEMBER;
}

/* Whether the escape "\u0000" stands in a string. */
static bool holds_nul(clseq__st_slice string)
{
    for (size_t i = 0; i + 1 < string.size; i++) {
        if (string.text[i] != '\\')
            continue;
        i++;
        if (string.size - i >= 5 && memcmp(string.text + i, "u0000", 5) == 0)
            return true;
    }
    return false;
}

char *clseq__st_string(clseq__st_slice string)
{
    const size_t last = string.size - 1;
    char *copied = NULL;
    if (string.size < 2 || string.text[0] != '"' || string.text[last] != '"' || holds_nul(string))
        return NULL;
    if (!memchr(string.text, '\\', string.size)) {
        string.text[last] = '\0';
        return string.text + 1;
    }
    /* What an escape stands for is never longer than the escape. */
    cJSON *decoded = cJSON_ParseWithLength(string.text, string.size);
    if (cJSON_IsString(decoded) && strlen(decoded->valuestring) < last)
        copied = memcpy(string.text, decoded->valuestring, strlen(decoded->valuestring) + 1);
    cJSON_Delete(decoded);
    return copied;
}
