#include "image/image_info.h"

#include "base/fs.h"
#include "image/infotext_json.h"

#include <stdlib.h>
#include <string.h>

bool image_info_read(struct image_info *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err)
{
    const struct image_format *format;
    struct image_meta meta;

    *out = (struct image_info){0};
    if (!image_format_look(&format, &meta, bytes, len, true, err))
        return false;
    if (!image_format_judge(&out->picture, format, &meta, limits, err)) {
        image_meta_clear(&meta);
        return false;
    }
    out->infotext = meta.infotext;
    out->items = meta.items;
    out->n_items = meta.n_items;
    return true;
}

bool image_info_load(struct image_info *out, const char *path, struct error *err)
{
    char *bytes = NULL;
    size_t len;

    *out = (struct image_info){0};
    if (!fs_read(&bytes, &len, path, IMAGE_FORMAT_MAX_FILE_BYTES, err))
        return false;
    bool ok = image_info_read(out, bytes, len, image_default_limits(), err);
    free(bytes);
    return ok || error_prefix(err, "%.300s", path);
}

void image_info_clear(struct image_info *info)
{
    struct image_meta meta = {
        .infotext = info->infotext, .items = info->items, .n_items = info->n_items};
    image_meta_clear(&meta);
    *info = (struct image_info){0};
}

/* Completes an object, which it takes over, with what both replies have. */
static json_t *complete(json_t *out, const struct image_info *info,
                        json_t *(*parameters)(const struct infotext *), struct error *err)
{
    const char *text = info->infotext ? info->infotext : "";
    json_t *items = json_object();
    struct infotext parsed = {0};

    if (!infotext_parse(&parsed, text, strlen(text), err)) {
        json_decref(items);
        json_decref(out);
        return NULL;
    }
    bool ok = out && items && json_object_set_new(out, "info", json_string(text)) == 0;
    for (size_t i = 0; ok && i < info->n_items; i++)
        ok = json_object_set_new(items, info->items[i].key, json_string(info->items[i].value)) == 0;
    ok = ok && json_object_set(out, "items", items) == 0 &&
         json_object_set_new(out, "parameters", text[0] ? parameters(&parsed) : json_object()) == 0;
    infotext_clear(&parsed);
    json_decref(items);
    if (ok)
        return out;
    json_decref(out);
    error_set(err, ERROR_MEMORY, "no memory for what a picture tells");
    return NULL;
}

json_t *image_info_json_native(const struct image_info *info, struct error *err)
{
    json_t *out = json_object();

    if (out && json_object_set_new(out, "status", json_string("success")) != 0) {
        json_decref(out);
        out = NULL;
    }
    return complete(out, info, infotext_json_native, err);
}

json_t *image_info_json_sdapi(const struct image_info *info, struct error *err)
{
    return complete(json_object(), info, infotext_json_sdapi, err);
}
