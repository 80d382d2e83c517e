#include "app/cli_lora.h"

#include "base/parse.h"
#include "model/lora_set.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_in_folder(const char *dir, const char *name)
{
    char path[LORA_SET_PATH_BYTES];
    struct error ignored;
    return lora_set_path(path, dir, name, &ignored) && exists(path);
}

bool cli_lora_parse(struct cli_lora *out, const char *text, const char *loras_dir,
                    struct error *err)
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
    out->is_path =
        strchr(out->name, '/') || (!is_in_folder(loras_dir, out->name) && exists(out->name));
    return true;
}

bool cli_lora_take(struct gen_request *r, struct cli_lora room[CLI_MAX_LORAS],
                   const struct cli_options *o, struct error *err)
{
    for (int i = 0; i < o->n_loras; i++) {
        if (!cli_lora_parse(&room[i], o->loras[i], o->settings.loras_dir, err))
            return false;
        r->loras[r->n_loras++] = (struct gen_lora){
            .name = room[i].name, .is_path = room[i].is_path, .scale = room[i].scale};
    }
    return true;
}
