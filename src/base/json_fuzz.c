#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>

/* Getters give only what is in range, whatever the types are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json j;
    struct error err = {0};
    const char *key;
    json_t *value;

    if (!json_read_bytes(&j, "fuzz", data, size, 1 << 16, &err)) {
        if (j.root || err.code == ERROR_NONE)
            abort();
        return 0;
    }
    json_object_foreach(j.root, key, value)
    {
        int i = 0, list[4], n = 0;
        float f = 0;
        bool b;
        const char *text;
        if (json_want_int(&j, key, -3, 300, &i, &err) && (i < -3 || i > 300))
            abort();
        if (json_want_float(&j, key, -1, 1, &f, &err) && !(f >= -1 && f <= 1))
            abort();
        if (json_want_ints(&j, key, 1, 9, list, 4, &n, &err) && (n < 1 || n > 4 || list[n - 1] > 9))
            abort();
        if (json_want_bool(&j, key, &b, &err) != json_is_boolean(value))
            abort();
        if (json_want_string(&j, key, &text, &err) != json_is_string(value))
            abort();
    }
    json_clear(&j);
    return 0;
}
