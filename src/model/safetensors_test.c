#include "base/test.h"
#include "model/safetensors.h"
#include "model/safetensors_internal.h"

#include <string.h>

static void checks_ranges(void)
{
    static const struct {
        const char *why;
        uint64_t begin, end, data_bytes, want_bytes;
        bool good;
    } row[] = {
        {"fits exactly", 0, 16, 16, 16, true},
        {"empty tensor at the end", 16, 16, 16, 0, true},
        {"end before begin", 8, 4, 16, 4, false},
        {"past the file", 8, 24, 16, 16, false},
        {"shape wants more", 0, 8, 16, 16, false},
        {"end wraps around", 8, UINT64_MAX, 16, 8, false},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct error err = {0};
        struct byte_range r = {row[i].begin, row[i].end};
        bool good = safetensors_range_check(r, row[i].data_bytes, row[i].want_bytes, "t", &err);
        if (good != row[i].good)
            fprintf(stderr, "row '%s': ", row[i].why);
        CHECK(good == row[i].good);
        CHECK(good == (err.code == ERROR_NONE));
    }
}

/* Header text and 12 bytes of data. */
static bool open_text(struct safetensors **out, const char *header, struct error *err)
{
    static unsigned char bytes[4096];
    size_t n = strlen(header);

    memset(bytes, 0, sizeof bytes);
    bytes[0] = (unsigned char)n;
    bytes[1] = (unsigned char)(n >> 8);
    memcpy(bytes + 8, header, n);
    *out = NULL;
    *err = (struct error){0};
    return safetensors_from_bytes(out, "f", bytes, 8 + n + 12, err);
}

#define TENSOR(name, dtype, shape, range)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}"

static void finds_tensors(void)
{
    struct safetensors *f;
    struct error err;
    CHECK(open_text(
        &f,
        "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("b", "F16", "[2,1]", "[8,12]") "," TENSOR(
            "a", "F32", "[1]", "[0,4]") "," TENSOR("u", "U8", "[4]", "[4,8]") "}",
        &err));
    if (!f)
        return;
    const struct tensor_info *a = safetensors_find(f, "a"), *b = safetensors_find(f, "b");
    CHECK(safetensors_count(f) == 3 && safetensors_at(f, 0) == a);
    CHECK(a && a->dtype_known && a->dtype == DTYPE_F32 && a->n_bytes == 4);
    CHECK(b && b->n_dims == 2 && b->dims[0] == 2 && b->bytes == a->bytes + 8);
    CHECK(safetensors_find(f, "u") && !safetensors_find(f, "u")->dtype_known);
    CHECK(!safetensors_find(f, "c") && safetensors_unused_bytes(f) == 0);
    safetensors_close(f);
}

static void refuses_headers_that_lie(void)
{
    static const struct {
        const char *header, *error; /* what the error says */
    } rows[] = {
        {"{" TENSOR("a", "F16", "[4]", "[0,8]") "," TENSOR("b", "F16", "[4]", "[4,12]") "}",
         "overlaps"},
        {"{" TENSOR("a", "F16", "[4]", "[0,8]") "," TENSOR("a", "F16", "[2]", "[8,12]") "}",
         "duplicate object key 'a'"},
        {"{" TENSOR("a", "F16", "[8]", "[0,16]") "}", "claims bytes 0..16 of 12"},
        {"{" TENSOR("a", "F16", "[5]", "[0,8]") "}", "its shape needs 10"},
        {"{" TENSOR("a", "F16", "[-4]", "[0,8]") "}", "dimension 0"},
        {"{" TENSOR("a", "F64", "[2305843009213693953]", "[0,8]") "}", "more bytes than exist"},
        {"{" TENSOR("a", "F16", "[1,1,1,1,1,1,1,1,1]", "[0,2]") "}", "at most 8"},
        {"{" TENSOR("a", "F16", "[4]", "[0]") "}", "data_offsets"},
        {"{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", "no dtype"},
        {"{\"a\":5}", "no dtype"},
        {"[]", "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct safetensors *f;
        struct error err;
        CHECK(!open_text(&f, rows[i].header, &err) && f == NULL);
        if (!strstr(err.text, rows[i].error))
            fprintf(stderr, "%s instead of %s: ", err.text, rows[i].error);
        CHECK(strstr(err.text, rows[i].error) && strncmp(err.text, "f: ", 3) == 0);
    }
}

static void refuses_lengths_that_lie(void)
{
    unsigned char bytes[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'};
    struct safetensors *f = NULL;
    struct error err;
    CHECK(!safetensors_from_bytes(&f, "f", bytes, sizeof bytes, &err));
    memset(bytes, 0, 8);
    bytes[0] = 9;
    CHECK(!safetensors_from_bytes(&f, "f", bytes, sizeof bytes, &err));
    CHECK(strstr(err.text, "cut short"));
    CHECK(!safetensors_from_bytes(&f, "f", bytes, 7, &err));
    CHECK(!safetensors_open(&f, "no/such.safetensors", &err) && err.code == ERROR_NOT_FOUND);
    CHECK(strncmp(err.text, "no/such.safetensors: ", 21) == 0 && f == NULL);
}

int main(void)
{
    checks_ranges();
    finds_tensors();
    refuses_headers_that_lie();
    refuses_lengths_that_lie();
    return TEST_END();
}
