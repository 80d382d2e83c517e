/* LoRA files made in memory, for tests: safetensors of zeros in the shapes that are asked for. */
#ifndef MODEL_LORA_TESTING_H
#define MODEL_LORA_TESTING_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LORA_TESTING_HEADER_BYTES = 1 << 16, LORA_TESTING_FILE_BYTES = 1 << 23 };

struct lora_testing {
    char header[LORA_TESTING_HEADER_BYTES];
    size_t len;
    uint64_t data; /* bytes so far */
};

/* A float16 tensor of up to four dimensions, the unused ones 0. */
static inline void lora_testing_add(struct lora_testing *f, const char *name, int64_t a, int64_t b,
                                    int64_t c, int64_t d)
{
    const int64_t dims[] = {a, b, c, d};
    uint64_t bytes = 2;
    int n = snprintf(f->header + f->len, sizeof f->header - f->len,
                     "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[", f->len ? "," : "{", name);

    f->len += (size_t)n;
    for (int i = 0; i < 4 && dims[i]; i++) {
        n = snprintf(f->header + f->len, sizeof f->header - f->len, "%s%" PRId64, i ? "," : "",
                     dims[i]);
        f->len += (size_t)n;
        bytes *= (uint64_t)dims[i];
    }
    n = snprintf(f->header + f->len, sizeof f->header - f->len,
                 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", f->data, f->data + bytes);
    f->len += (size_t)n;
    f->data += bytes;
}

/* The file's bytes, which the caller frees, and their number. */
static inline unsigned char *lora_testing_finish(struct lora_testing *f, size_t *n)
{
    f->len += (size_t)snprintf(f->header + f->len, sizeof f->header - f->len, "}");
    *n = 8 + f->len + (size_t)f->data;
    unsigned char *bytes = calloc(1, *n);
    if (!bytes)
        exit(2);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)f->len >> 8 * i);
    memcpy(bytes + 8, f->header, f->len);
    return bytes;
}

#endif
