#include "base/test.h"
#include "model/text_inversion.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A safetensors file of a header and numbers 0, 1, 2, ... */
static bool write_file(const char *path, const char *header, int n_numbers)
{
    FILE *f = fopen(path, "wb");
    uint64_t len = strlen(header);
    bool ok = f != NULL;
    for (int i = 0; ok && i < 8; i++)
        ok = fputc((int)(len >> (8 * i) & 255), f) != EOF;
    ok = ok && fputs(header, f) >= 0;
    for (int i = 0; ok && i < n_numbers; i++)
        ok = fwrite(&(float){(float)i}, sizeof(float), 1, f) == 1;
    return f && fclose(f) == 0 && ok;
}

#define ONE(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}"
#define TWO(a, b)                                                                                  \
    "{\"" a "\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\"" b                  \
    "\":{\"dtype\":\"F32\",\"shape\":[2,5],\"data_offsets\":[24,64]}}"

static const struct row {
    const char *why, *header;
    int n_numbers, width[2];
    int n_vectors;     /* 0: refused */
    float last[2];     /* of each encoder's rows */
    const char *error; /* part of the sentence */
} rows[] = {
    {"web UI", ONE("emb_params"), 6, {3, 0}, 2, {5, 0}, NULL},
    {"diffusers", ONE("<a cat>"), 6, {3, 0}, 2, {5, 0}, NULL},
    {"a dictionary's", TWO("string_to_param.*", "other"), 16, {3, 0}, 2, {5, 0}, NULL},
    {"SDXL", TWO("clip_l", "clip_g"), 16, {3, 5}, 2, {5, 15}, NULL},
    {"the refiner takes the second", TWO("clip_l", "clip_g"), 16, {0, 5}, 2, {0, 15}, NULL},
    {"one vector without rows",
     "{\"x\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}",
     3,
     {3, 0},
     1,
     {2, 0},
     NULL},
    {"half precision",
     "{\"x\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[0,4]}}",
     1,
     {2, 0},
     1,
     {0, 0},
     NULL},
    {"another width",
     ONE("x"),
     6,
     {4, 0},
     0,
     {0, 0},
     "have 3 numbers, the model's text encoder takes 4"},
    {"SDXL's for SD 1.5", TWO("clip_l", "clip_g"), 16, {3, 0}, 0, {0, 0}, "is for SDXL"},
    {"SD 1.5's for SDXL", ONE("x"), 6, {3, 5}, 0, {0, 0}, "has no clip_l"},
    {"two words", TWO("a", "b"), 16, {3, 0}, 0, {0, 0}, "holds 2 tensors"},
    {"too many vectors",
     "{\"x\":{\"dtype\":\"F32\",\"shape\":[76,1],\"data_offsets\":[0,304]}}",
     76,
     {1, 0},
     0,
     {0, 0},
     "76 vectors"},
    {"whole numbers",
     "{\"x\":{\"dtype\":\"I32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}",
     1,
     {1, 0},
     0,
     {0, 0},
     "no matrix"},
    {"no vectors of the same number",
     "{\"clip_l\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
     "\"clip_g\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[8,20]}}",
     5,
     {1, 1},
     0,
     {0, 0},
     "2 vectors for one text encoder and 3"},
};

int main(void)
{
    char path[] = "/tmp/text-inversion-test-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct text_inversion t = {0};
        struct error err = {0};
        CHECK(write_file(path, r->header, r->n_numbers));
        const bool ok = text_inversion_load(&t, path, r->width, &err);
        bool good = ok == (r->n_vectors > 0) && t.n_vectors == r->n_vectors;
        for (int k = 0; good && ok && k < 2; k++)
            good = r->width[k] ? t.rows[k][t.n_vectors * r->width[k] - 1] == r->last[k]
                               : t.rows[k] == NULL;
        if (good && r->error)
            good = strstr(err.text, r->error) != NULL && err.code == ERROR_INVALID;
        if (!good)
            fprintf(stderr, "%s: %d vectors, %s\n", r->why, t.n_vectors, err.text);
        CHECK(good);
        text_inversion_clear(&t);
    }
    CHECK(write_file(path, ONE("x"), 5));
    struct text_inversion t;
    struct error err = {0};
    CHECK(!text_inversion_load(&t, path, (const int[2]){3, 0}, &err) && err.code == ERROR_CORRUPT);
    unlink(path);
    return TEST_END();
}
