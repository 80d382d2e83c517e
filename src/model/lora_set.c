#include "model/lora_set.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_one_name(const char *name)
{
    if (!name[0] || name[0] == '.')
        return false;
    for (const char *c = name; *c; c++)
        if (*c == '/' || *c == '\\' || (unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return true;
}

bool lora_set_path(char out[LORA_SET_PATH_BYTES], const char *dir, const char *name,
                   struct error *err)
{
    static const char suffix[] = ".safetensors";
    const size_t len = strlen(name), cut = sizeof suffix - 1;
    const bool has_suffix = len > cut && strcmp(name + len - cut, suffix) == 0;

    if (!is_one_name(name))
        return error_set(err, ERROR_INVALID, "'%.100s' is no LoRA's name", name);
    const int n =
        snprintf(out, LORA_SET_PATH_BYTES, "%s/%s%s", dir, name, has_suffix ? "" : suffix);
    return (n > 0 && n < LORA_SET_PATH_BYTES) ||
           error_set(err, ERROR_INVALID, "the LoRA's name is too long");
}

PRINTF_LIKE(2, 3) static void warn(struct lora_set *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(s->warnings[s->n_warnings++], LORA_SET_WARNING_BYTES, fmt, args);
    va_end(args);
}

/* A name's error speaks of its file, not of the folder: whoever asked need not know where that
 * is. */
static void forget_folder(struct error *err, const char *path)
{
    const char *slash = strrchr(path, '/');
    const size_t cut = slash ? (size_t)(slash + 1 - path) : 0;

    if (strncmp(err->text, path, strlen(path)) == 0)
        memmove(err->text, err->text + cut, strlen(err->text + cut) + 1);
}

static bool open_wish(struct lora **out, const struct lora_set_wish *w,
                      const struct lora_set_place *place, struct error *err)
{
    char path[LORA_SET_PATH_BYTES];

    if (w->is_path)
        return lora_open(out, w->name, err);
    if (!place || (!place->dir && !place->find))
        return error_set(err, ERROR_NOT_FOUND, "there is no folder of LoRAs (loras_dir)");
    if (!(place->find ? place->find(place->ctx, path, w->name, err)
                      : lora_set_path(path, place->dir, w->name, err)))
        return false;
    if (lora_open(out, path, err))
        return true;
    forget_folder(err, path);
    return false;
}

static void take(struct lora_set *s, const struct lora_set_wish *w,
                 const struct lora_set_place *place, const struct model_info *info)
{
    struct lora_set_entry e = {.text_scale = w->text_scale, .unet_scale = w->unet_scale};
    struct error err = {0};

    if (!open_wish(&e.lora, w, place, &err)) {
        if (err.code == ERROR_NOT_FOUND)
            warn(s, "LoRA not found: %.200s", w->name);
        else
            warn(s, "LoRA %.100s is left out: %.380s", w->name, err.text);
        return;
    }
    const char *name = lora_name(e.lora);
    if (!lora_match_make(&e.match, e.lora, info, &err) || !e.match.compatible) {
        warn(s, "LoRA %.100s is left out: it does not fit the model %.60s: %.320s", name,
             info->name ? info->name : "", err.code ? err.text : e.match.why);
        lora_match_clear(&e.match);
        lora_close(e.lora);
        return;
    }
    if (e.match.n_unmatched)
        warn(s, "LoRA %.100s: %zu of its %zu modules are left out: %.320s", name,
             e.match.n_unmatched, e.match.n_modules, e.match.why);
    s->entries[s->n++] = e;
}

void lora_set_open(struct lora_set *out, const struct lora_set_wish *wishes, int n,
                   const struct lora_set_place *place, const struct model_info *info)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < n && i < LORA_SET_MAX; i++)
        take(out, &wishes[i], place, info);
    if (n > LORA_SET_MAX)
        warn(out, "there are more than %d LoRAs; %.200s and what follows is left out", LORA_SET_MAX,
             wishes[LORA_SET_MAX].name);
}

void lora_set_clear(struct lora_set *s)
{
    for (int i = 0; i < s->n; i++) {
        lora_match_clear(&s->entries[i].match);
        lora_close(s->entries[i].lora);
    }
    memset(s, 0, sizeof *s);
}
