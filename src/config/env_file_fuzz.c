#include "config/env_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Names are names whatever the file holds. */
static bool check(void *ctx, const char *name, const char *value, struct error *err)
{
    (void)ctx;
    (void)err;
    if (!name[0] ||
        name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
                          "0123456789")] != 0 ||
        strlen(value) >= 8192)
        abort();
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    if (!env_file_read_bytes("fuzz", (const char *)data, size, check, NULL, &err) &&
        (err.code != ERROR_INVALID || strncmp(err.text, "fuzz:", 5) != 0))
        abort();
    return 0;
}
