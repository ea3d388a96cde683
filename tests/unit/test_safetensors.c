/* The safetensors reader and writer: round trips, and files that lie in every field. Host code without a device. */
#include "support/folder.h"
#include "train/safetensors.h"
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[FOLDER_PATH], path[FOLDER_PATH + 8];

static void setup(void)
{
    folder_create(folder);
    snprintf(path, sizeof path, "%s/file", folder);
}

static void teardown(void)
{
    unlink(path);
    char left[FOLDER_PATH] = "";
    cr_assert_eq(folder_count(folder, "", left), 0, "%s was left behind in %s", left, folder);
    folder_remove(folder);
}

TestSuite(safetensors, .init = setup, .fini = teardown);

static const float first[6] = {1, -2, 3.5f, 0, 1e-30f, 3e38f}, second[1] = {42};

static clseq_status write_example(void)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_writer *w = NULL;
    CLSEQ__TRY(clseq__st_writer_create(path, &w));
    CLSEQ__TRY(clseq__st_writer_meta(w, "key", "a \"quoted\" value\n"));
    CLSEQ__TRY(clseq__st_writer_add(w, "first", CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 3}));
    CLSEQ__TRY(clseq__st_writer_add(w, "scalar", CLSEQ_DTYPE_F32, 0, NULL));
    CLSEQ__TRY(clseq__st_writer_begin(w));
    CLSEQ__TRY(clseq__st_writer_data(w, first, 6 * sizeof *first));
    CLSEQ__TRY(clseq__st_writer_data(w, second, sizeof *second));
    CLSEQ__TRY(clseq__st_writer_commit(w));
done:
    clseq__st_writer_destroy(w);
    return status;
}

Test(safetensors, reads_what_it_wrote)
{
    clseq__st_reader *r = NULL;
    float values[6] = {0};
    cr_assert_eq(write_example(), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq__st_open(path, &r), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq__st_count(r), 2);
    const clseq__st_entry *entry = clseq__st_find(r, "first");
    cr_assert_eq(entry, clseq__st_at(r, 0));
    cr_assert_eq(entry->ndim, 2);
    cr_assert(entry->dims[0] == 2 && entry->dims[1] == 3);
    cr_assert_str_eq(entry->dtype, "F32");
    cr_assert_eq(clseq__st_read(r, entry, values), CLSEQ_OK);
    cr_assert_arr_eq(values, first, sizeof first);
    cr_assert_eq(clseq__st_at(r, 1)->ndim, 0);
    cr_assert_eq(clseq__st_read(r, clseq__st_at(r, 1), values), CLSEQ_OK);
    cr_assert_eq(values[0], 42);
    cr_assert_null(clseq__st_find(r, "third"));
    cr_assert_null(clseq__st_at(r, 2));
    cr_assert_str_eq(clseq__st_meta(r, "key"), "a \"quoted\" value\n");
    cr_assert_null(clseq__st_meta(r, "other"));
    clseq__st_close(r);
}

Test(safetensors, data_starts_at_a_multiple_of_eight)
{
    uint8_t prefix[8];
    cr_assert_eq(write_example(), CLSEQ_OK);
    FILE *file = fopen(path, "rb");
    cr_assert_eq(fread(prefix, 1, 8, file), 8);
    fclose(file);
    cr_assert_eq(prefix[0] % 8, 0);
}

Test(safetensors, refuses_names_and_data_that_do_not_fit)
{
    clseq__st_writer *w = NULL;
    cr_assert_eq(clseq__st_writer_create(path, &w), CLSEQ_OK);
    cr_assert_eq(clseq__st_writer_add(w, "a", CLSEQ_DTYPE_F32, 1, (int64_t[]){2}), CLSEQ_OK);
    cr_assert_eq(clseq__st_writer_add(w, "a", CLSEQ_DTYPE_F32, 1, (int64_t[]){2}), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq__st_writer_add(w, "__metadata__", CLSEQ_DTYPE_F32, 1, (int64_t[]){2}),
                 CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq__st_writer_meta(w, "k", "1"), CLSEQ_OK);
    cr_assert_eq(clseq__st_writer_meta(w, "k", "2"), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq__st_writer_begin(w), CLSEQ_OK);
    cr_assert_eq(clseq__st_writer_data(w, first, sizeof *first), CLSEQ_OK);
    cr_assert_eq(clseq__st_writer_commit(w), CLSEQ_INVALID_STATE);
    clseq__st_writer_destroy(w);
    cr_assert_neq(access(path, F_OK), 0);
}

/* Writes a file from a header and a number of data bytes, and returns how opening it went. */
static clseq_status open_header(const char *header, size_t data)
{
    clseq__st_reader *r = NULL;
    size_t length = strlen(header);
    FILE *file = fopen(path, "wb");
    for (int i = 0; i < 8; i++)
        fputc((int)((uint64_t)length >> 8 * i & 255), file);
    fwrite(header, 1, length, file);
    for (size_t i = 0; i < data; i++)
        fputc(0, file);
    fclose(file);
    clseq_status status = clseq__st_open(path, &r);
    clseq__st_close(r);
    return status;
}

#define ENTRY(dtype, shape, begin, end) \
    "\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]"

Test(safetensors, accepts_what_the_format_allows)
{
    cr_expect_eq(open_header("{}", 0), CLSEQ_OK, "%s", clseq_last_error());
    cr_expect_eq(open_header("{}   ", 0), CLSEQ_OK, "%s", clseq_last_error());
    cr_expect_eq(open_header("{\"a\":{" ENTRY("F32", "[2]", 0, 8) "}}", 8), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_expect_eq(open_header("{\"a\":{" ENTRY("BF16", "[2,0]", 0, 0) "}}", 0), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_expect_eq(
        open_header("{\"b\":{" ENTRY("I64", "[1]", 4, 12) "},\"a\":{" ENTRY("F32", "[]", 0, 4) "}}", 12),
        CLSEQ_OK, "%s", clseq_last_error());
}

Test(safetensors, refuses_headers_that_lie)
{
    const struct {
        const char *header;
        size_t data;
        const char *says;
    } cases[] = {
        {"[]", 0, "not a JSON object"},
        {"{ ", 0, "not a JSON object"},
        {"{}x", 0, "follows"},
        {"{\"a\":1}", 0, "dtype"},
        {"{\"a\":{}}", 0, "dtype"},
        {"{\"a\":{" ENTRY("F33", "[2]", 0, 8) "}}", 8, "dtype"},
        {"{\"a\":{" ENTRY("F32", "2", 0, 8) "}}", 8, "shape"},
        {"{\"a\":{" ENTRY("F32", "[-2]", 0, 8) "}}", 8, "shape"},
        {"{\"a\":{" ENTRY("F32", "[2.5]", 0, 8) "}}", 8, "shape"},
        {"{\"a\":{" ENTRY("F32", "[\"2\"]", 0, 8) "}}", 8, "shape"},
        {"{\"a\":{" ENTRY("F32", "[1e300]", 0, 8) "}}", 8, "shape"},
        {"{\"a\":{" ENTRY("F32", "[9007199254740992,9007199254740992]", 0, 8) "}}", 8, "too large"},
        {"{\"a\":{" ENTRY("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}}", 4, "shape"},
        {"{\"a\":{" ENTRY("F32", "[2]", 0, 12) "}}", 8, "within"},
        {"{\"a\":{" ENTRY("F32", "[2]", 8, 0) "}}", 8, "within"},
        {"{\"a\":{" ENTRY("F32", "[3]", 0, 8) "}}", 8, "shape and dtype need 12"},
        {"{\"a\":{" ENTRY("F32", "[2]", 4, 12) "}}", 12, "hole"},
        {"{\"a\":{" ENTRY("F32", "[2]", 0, 8) "}}", 9, "belong to none"},
        {"{\"a\":{" ENTRY("F32", "[2]", 0, 8) "},\"b\":{" ENTRY("F32", "[1]", 4, 8) "}}", 8, "overlaps"},
        {"{\"a\":{" ENTRY("F32", "[1]", 0, 4) "},\"a\":{" ENTRY("F32", "[1]", 4, 8) "}}", 8, "twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"__metadata__\":3}", 0, "__metadata__"},
        {"{\"__metadata__\":{\"k\":3}}", 0, "__metadata__"},
        {"{\"__metadata__\":{\"k\":\"1\"},\"__metadata__\":{}}", 0, "twice"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "twice"},
        {"{\"__metadata__\":{\"k\":\"a\\u0000b\"}}", 0, "NUL"},
        {"{\"__metadata__\":{\"a\\u0000b\":\"1\"}}", 0, "NUL"},
        {"{\"a\\u0000b\":{" ENTRY("F32", "[2]", 0, 8) "}}", 8, "NUL"},
        {"{\"a\\\\\\u0000\":{" ENTRY("F32", "[2]", 0, 8) "}}", 8, "NUL"},
        {"{\"a\tb\":{" ENTRY("F32", "[2]", 0, 8) "}}", 8, "not a JSON object"},
        {"{\"a\":{" ENTRY("F32", "[2]", 0, 8) "},}", 8, "not a JSON object"},
        {"{\"a\":{" ENTRY("F32", "[2]", 0, 8) "} \"b\":1}", 8, "not a JSON object"},
        {"{\"a\":{" ENTRY("F32", "[2}", 0, 8) "}}", 8, "not JSON"},
        {"{\"a\":}", 0, "not a JSON object"},
        {"{\"__metadata__\":{\"clseq.xxh3.a\":\"12\"},\"a\":{" ENTRY("F32", "[1]", 0, 4) "}}", 4,
         "expected 16 hexadecimal digits"},
        {"{\"__metadata__\":{\"clseq.xxh3.a\":\"0e26c984baad57dg\"},\"a\":{" ENTRY("F32", "[1]", 0, 4) "}}",
         4, "expected 16 hexadecimal digits"},
        {"{\"a\":{" ENTRY("F32", "[2]", 0, 8) "} 4}", 8, "not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(open_header(cases[i].header, cases[i].data), CLSEQ_CORRUPT_FILE, "%s", cases[i].header);
        cr_expect(strstr(clseq_last_error(), cases[i].says), "%s: said \"%s\", expected \"%s\"",
                  cases[i].header, clseq_last_error(), cases[i].says);
    }
}

Test(safetensors, names_are_decoded)
{
    clseq__st_reader *r = NULL;
    cr_assert_eq(open_header("{ \"\\u00fc\\\\u0000 \\\"\" : { " ENTRY(
                                 "F32", "[ 2 ]", 0, 8) " } , "
                                                       "\"__metadata__\":{\"\\n\":\"}]{[,\"}}",
                             8),
                 CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq__st_open(path, &r), CLSEQ_OK);
    cr_assert_not_null(clseq__st_find(r, "\xc3\xbc\\u0000 \""), "%s", clseq__st_at(r, 0)->name);
    cr_assert_str_eq(clseq__st_meta(r, "\n"), "}]{[,");
    clseq__st_close(r);
}

Test(safetensors, names_of_a_file_are_shown_without_their_effect)
{
    static const char *const headers[] = {
        "{\"\\u001b[2J\":1}", "{\"\\u001b[2J\":{" ENTRY("F32", "[3]", 0, 8) "}}",
        "{\"\\u001b[2J\":{" ENTRY("F32", "[1]", 4, 8) "}}", "{\"__metadata__\":{\"\\u001b[2J\":1}}"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        cr_expect_eq(open_header(headers[i], 8), CLSEQ_CORRUPT_FILE);
        cr_expect(strstr(clseq_last_error(), " \\x1b[2J"), "%s", clseq_last_error());
        cr_expect(!strchr(clseq_last_error(), 0x1b));
    }
    cr_assert_eq(open_header("{\"\xff\xfe\":1}", 0), CLSEQ_CORRUPT_FILE);
    cr_assert(strstr(clseq_last_error(), "tensor \\xff\\xfe"), "%s", clseq_last_error());
}

static size_t json_bytes, json_peak;

static void *counted_malloc(size_t size)
{
    size_t *block = malloc(size + sizeof(max_align_t));
    json_bytes += size;
    json_peak = json_bytes > json_peak ? json_bytes : json_peak;
    *block = size;
    return (char *)block + sizeof(max_align_t);
}

static void counted_free(void *pointer)
{
    size_t *block = pointer ? (size_t *)((char *)pointer - sizeof(max_align_t)) : NULL;
    json_bytes -= block ? *block : 0;
    free(block);
}

/* A file whose header is `opening`, `part` again and again up to a megabyte, and `closing`. */
static clseq_status open_large(const char *opening, const char *part, const char *closing)
{
    const size_t size = 1 << 20;
    char *header = malloc(size + 64), *at = header + sprintf(header, "%s", opening);
    while (at < header + size - 64)
        at += sprintf(at, "%s", part);
    strcpy(at, closing);
    clseq_status status = open_header(header, 0);
    free(header);
    return status;
}

Test(safetensors, a_header_of_small_nodes_takes_no_tree_of_them)
{
    cJSON_InitHooks(&(cJSON_Hooks){counted_malloc, counted_free});
    static const struct {
        const char *opening, *part, *closing;
        clseq_status status;
    } cases[] = {
        {"{\"a\":[1", ",1", "]}", CLSEQ_CORRUPT_FILE},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0", ",1", "],\"data_offsets\":[0,0]}}", CLSEQ_CORRUPT_FILE},
        {"{\"a\":", "[", "", CLSEQ_CORRUPT_FILE},
        {"{\"a\":1", ",\"a\":1", "}", CLSEQ_CORRUPT_FILE},
        {"{\"__metadata__\":{\"a\":\"\"", ",\"a\":\"\"", "}}", CLSEQ_CORRUPT_FILE},
        {"{\"__metadata__\":{\"a\":\"", "0123456789", "\"}}", CLSEQ_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_peak = 0;
        cr_expect_eq(open_large(cases[i].opening, cases[i].part, cases[i].closing), cases[i].status,
                     "row %zu: %s", i, clseq_last_error());
        cr_expect(json_peak < (1 << 17), "row %zu: %zu bytes of nodes for 1 MB", i, json_peak);
        cr_expect_eq(json_bytes, 0);
    }
    cJSON_InitHooks(NULL);
}

/* The example's bytes; the caller frees them. */
static uint8_t *example_bytes(size_t *size)
{
    struct stat info;
    cr_assert_eq(write_example(), CLSEQ_OK);
    cr_assert_eq(stat(path, &info), 0);
    *size = (size_t)info.st_size;
    uint8_t *bytes = malloc(*size);
    FILE *file = fopen(path, "rb");
    cr_assert_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static clseq_status open_bytes(const uint8_t *bytes, size_t size)
{
    clseq__st_reader *r = NULL;
    FILE *file = fopen(path, "wb");
    fwrite(bytes, 1, size, file);
    fclose(file);
    clseq_status status = clseq__st_open(path, &r);
    for (size_t i = 0; status == CLSEQ_OK && i < clseq__st_count(r); i++) {
        const clseq__st_entry *entry = clseq__st_at(r, i);
        void *data = malloc((size_t)(entry->end - entry->begin) + 1);
        status = clseq__st_read(r, entry, data);
        free(data);
    }
    clseq__st_close(r);
    return status;
}

Test(safetensors, refuses_a_file_cut_at_any_place)
{
    size_t size = 0;
    uint8_t *bytes = example_bytes(&size);
    for (size_t cut = 0; cut < size; cut++)
        cr_assert_eq(open_bytes(bytes, cut), CLSEQ_CORRUPT_FILE, "cut at %zu", cut);
    cr_assert_eq(open_bytes(bytes, size), CLSEQ_OK);
    free(bytes);
}

Test(safetensors, survives_any_damaged_byte)
{
    size_t size = 0;
    uint8_t *bytes = example_bytes(&size);
    size_t refused = 0;
    for (size_t place = 0; place < size; place++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[place] ^= (uint8_t)(1 << bit);
            refused += open_bytes(bytes, size) != CLSEQ_OK;
            bytes[place] ^= (uint8_t)(1 << bit);
        }
    cr_assert_gt(refused, 500);
    free(bytes);
}

/* Where the data begins. */
static size_t data_start(const uint8_t *bytes)
{
    return 8 + (size_t)bytes[0] + 256 * (size_t)bytes[1];
}

Test(safetensors, any_damaged_bit_of_a_tensor_is_noticed_and_the_tensor_named)
{
    size_t size = 0;
    uint8_t *bytes = example_bytes(&size), read[64];
    for (size_t place = data_start(bytes); place < size; place++)
        for (int bit = 0; bit < 8; bit++) {
            clseq__st_reader *r = NULL;
            const char *name = place < size - sizeof second ? "first" : "scalar";
            const char *other = place < size - sizeof second ? "scalar" : "first";
            FILE *file = fopen(path, "wb");
            bytes[place] ^= (uint8_t)(1 << bit);
            fwrite(bytes, 1, size, file);
            bytes[place] ^= (uint8_t)(1 << bit);
            fclose(file);
            cr_assert_eq(clseq__st_open(path, &r), CLSEQ_OK, "%s", clseq_last_error());
            cr_assert_eq(clseq__st_read(r, clseq__st_find(r, name), read), CLSEQ_CORRUPT_FILE, "byte %zu",
                         place);
            cr_assert(strstr(clseq_last_error(), name) && strstr(clseq_last_error(), "checksum"), "%s",
                      clseq_last_error());
            cr_assert_eq(clseq__st_read(r, clseq__st_find(r, other), read), CLSEQ_OK);
            clseq__st_close(r);
        }
    free(bytes);
}

/* What `xxhsum -H3` says of the bytes of both tensors. */
Test(safetensors, checksums_are_those_of_xxhash)
{
    clseq__st_reader *r = NULL;
    cr_assert_eq(write_example(), CLSEQ_OK);
    cr_assert_eq(clseq__st_open(path, &r), CLSEQ_OK);
    cr_assert_str_eq(clseq__st_meta(r, "clseq.xxh3.scalar"), "876e4a19a3920ea3");
    cr_assert_str_eq(clseq__st_meta(r, "clseq.xxh3.first"), "0e26c984baad57de");
    clseq__st_close(r);
}

Test(safetensors, floats_of_every_type_have_their_bits)
{
    static const struct {
        const char *dtype;
        size_t size;
        struct {
            uint64_t bits;
            uint32_t expected; /* of the float */
        } values[14];
    } rows[] = {
        {"F16",
         2,
         {{0x0000, 0x00000000},
          {0x8000, 0x80000000},
          {0x3c00, 0x3f800000},
          {0xc000, 0xc0000000},
          {0x7bff, 0x477fe000},
          {0xfbff, 0xc77fe000},
          {0x0400, 0x38800000},
          {0x03ff, 0x387fc000},
          {0x0001, 0x33800000},
          {0x8001, 0xb3800000},
          {0x3555, 0x3eaaa000},
          {0x7c00, 0x7f800000},
          {0xfc00, 0xff800000},
          {0x7e00, 0x7fc00000}}},
        {"BF16",
         2,
         {{0x0000, 0x00000000},
          {0x8000, 0x80000000},
          {0x3f80, 0x3f800000},
          {0xc000, 0xc0000000},
          {0x7f7f, 0x7f7f0000},
          {0xff7f, 0xff7f0000},
          {0x0080, 0x00800000},
          {0x007f, 0x007f0000},
          {0x0001, 0x00010000},
          {0x8001, 0x80010000},
          {0x3eab, 0x3eab0000},
          {0x7f80, 0x7f800000},
          {0xff80, 0xff800000},
          {0x7fc0, 0x7fc00000}}},
        {"F64",
         8,
         {{0x0000000000000000, 0x00000000},
          {0x8000000000000000, 0x80000000},
          {0x3ff0000000000000, 0x3f800000},
          {0xc000000000000000, 0xc0000000},
          {0x47efffffe0000000, 0x7f7fffff},
          {0xc7efffffe0000000, 0xff7fffff},
          {0x3810000000000000, 0x00800000},
          {0x36a0000000000000, 0x00000001},
          {0xb6a0000000000000, 0x80000001},
          {0x3fd5555555555555, 0x3eaaaaab},
          {0x3ff0000010000000, 0x3f800000}, /* half a unit, to even */
          {0x7ff0000000000000, 0x7f800000},
          {0xfff0000000000000, 0xff800000},
          {0x7ff8000000000000, 0x7fc00000}}},
        {"F32",
         4,
         {{0x00000000, 0x00000000},
          {0x80000000, 0x80000000},
          {0x3f800000, 0x3f800000},
          {0xc0000000, 0xc0000000},
          {0x7f7fffff, 0x7f7fffff},
          {0xff7fffff, 0xff7fffff},
          {0x00800000, 0x00800000},
          {0x007fffff, 0x007fffff},
          {0x00000001, 0x00000001},
          {0x80000001, 0x80000001},
          {0x3eaaaaab, 0x3eaaaaab},
          {0x7f800000, 0x7f800000},
          {0xff800000, 0xff800000},
          {0x7fc00000, 0x7fc00000}}},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        char header[128];
        uint8_t bytes[256] = {0};
        float values[14];
        clseq__st_reader *r = NULL;
        const size_t data = 14 * rows[row].size;
        const size_t length = (size_t)snprintf(
            header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[14],\"data_offsets\":[0,%zu]}}",
            rows[row].dtype, data);
        bytes[0] = (uint8_t)length;
        memcpy(bytes + 8, header, length);
        for (size_t i = 0; i < 14; i++)
            for (size_t k = 0; k < rows[row].size; k++)
                bytes[8 + length + i * rows[row].size + k] = (uint8_t)(rows[row].values[i].bits >> 8 * k);
        folder_write(folder, "file", bytes, 8 + length + data);
        cr_assert_eq(clseq__st_open(path, &r), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq__st_read_values(r, clseq__st_at(r, 0), CLSEQ_DTYPE_F32, values), CLSEQ_OK);
        clseq__st_close(r);
        for (size_t i = 0; i < 14; i++) {
            uint32_t bits;
            memcpy(&bits, &values[i], sizeof bits);
            const bool nan = rows[row].values[i].expected == 0x7fc00000;
            cr_expect(nan ? values[i] != values[i] : bits == rows[row].values[i].expected,
                      "%s %llx is %08x, expected %08x", rows[row].dtype,
                      (unsigned long long)rows[row].values[i].bits, bits, rows[row].values[i].expected);
        }
    }
}

Test(safetensors, names_a_missing_file_and_a_folder)
{
    clseq__st_reader *r = NULL;
    cr_assert_eq(clseq__st_open(path, &r), CLSEQ_IO_ERROR);
    cr_assert(strstr(clseq_last_error(), "No such file"), "%s", clseq_last_error());
    cr_assert_eq(clseq__st_open("/tmp", &r), CLSEQ_IO_ERROR);
    cr_assert_null(r);
}

Test(safetensors, a_disk_that_is_full_leaves_the_old_file)
{
    size_t size = 0;
    uint8_t *bytes = example_bytes(&size);
    folder_limit_files(100);
    clseq_status status = write_example();
    folder_limit_files(0);
    cr_assert_eq(status, CLSEQ_IO_ERROR);
    cr_assert(strstr(clseq_last_error(), "cannot write"), "%s", clseq_last_error());
    FILE *file = fopen(path, "rb");
    uint8_t *after = malloc(size);
    cr_assert_eq(fread(after, 1, size, file), size);
    cr_assert_arr_eq(after, bytes, size);
    fclose(file);
    free(after);
    free(bytes);
}

Test(safetensors, a_folder_that_is_not_there_is_an_error)
{
    char elsewhere[FOLDER_PATH + 16];
    clseq__st_writer *w = NULL;
    snprintf(elsewhere, sizeof elsewhere, "%s/no/such/file", folder);
    cr_assert_eq(clseq__st_writer_create(elsewhere, &w), CLSEQ_OK);
    cr_assert_eq(clseq__st_writer_begin(w), CLSEQ_IO_ERROR);
    clseq__st_writer_destroy(w);
}
