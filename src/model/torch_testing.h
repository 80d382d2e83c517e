/* Whole files in memory, for the tests of files that torch.save writes. */
#ifndef MODEL_TORCH_TESTING_H
#define MODEL_TORCH_TESTING_H

#include "base/test.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The caller frees the bytes, which end where the block ends, so that a sanitizer sees every step
 * beyond.  NULL, and a failed check, when the file cannot be read. */
static inline unsigned char *torch_testing_read(const char *folder, const char *name, size_t *n)
{
    char path[512];
    unsigned char *bytes = NULL;
    long size = -1;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (f && fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size > 0 && fseek(f, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)size);
    if (bytes && fread(bytes, 1, (size_t)size, f) != (size_t)size) {
        free(bytes);
        bytes = NULL;
    }
    if (f)
        fclose(f);
    if (!bytes)
        fprintf(stderr, "cannot read %s\n", path);
    CHECK(bytes != NULL);
    *n = bytes ? (size_t)size : 0;
    return bytes;
}

#endif
