#include "app/cli_lora.h"

#include "base/parse.h"

#include <string.h>

bool cli_lora_parse(struct cli_lora *out, const char *text, struct error *err)
{
    const char *colon = strrchr(text, ':');

    *out = (struct cli_lora){.scale = 1};
    if (colon && strchr(colon, '/'))
        colon = NULL; /* of a folder's name */
    const size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (len == 0 || len >= sizeof out->name)
        return error_set(err, ERROR_INVALID, "--lora wants a name or a path of at most %zu bytes",
                         sizeof out->name - 1);
    if (colon &&
        !parse_double(&out->scale, colon + 1, -GEN_MAX_LORA_SCALE, GEN_MAX_LORA_SCALE, err))
        return error_prefix(err, "--lora: the scale of %.*s", (int)(len < 200 ? len : 200), text);
    memcpy(out->name, text, len);
    out->name[len] = 0;
    return true;
}
