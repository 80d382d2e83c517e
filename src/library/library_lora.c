#include "library/library_lora.h"

#include "base/file_map.h"
#include "base/json.h"
#include "base/le.h"
#include "base/utf8.h"
#include "library/library_sha256.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };

/* Pictures of megabytes that no client of a list wants. */
static const char cover_images[] = "ssmd_cover_images";

static bool read_map(json_t **out, const struct file_map *map, const char *path, struct error *err)
{
    struct json j;

    if (map->n_bytes < LENGTH_BYTES || map->bytes[LENGTH_BYTES] != '{')
        return true; /* another container, which has none */
    const uint64_t header = le_u64(map->bytes);
    if (header > map->n_bytes - LENGTH_BYTES)
        return true;
    if (!json_read_bytes(&j, path, map->bytes + LENGTH_BYTES, (size_t)header,
                         SAFETENSORS_MAX_HEADER_BYTES, err))
        return false;
    json_t *metadata = json_object_get(j.root, "__metadata__");
    if (json_is_object(metadata))
        *out = json_incref(metadata);
    json_clear(&j);
    return true;
}

bool library_lora_read(json_t **out, const char *path, struct error *err)
{
    struct file_map map;

    *out = NULL;
    if (!file_map_open(&map, path, err))
        return false;
    bool ok = read_map(out, &map, path, err);
    file_map_close(&map);
    if (ok && !*out)
        *out = json_object();
    return ok && (*out || error_set(err, ERROR_MEMORY, "no memory for a LoRA's metadata"));
}

void library_lora_alias(char out[LIBRARY_LORA_ALIAS_BYTES], const json_t *metadata)
{
    const char *name = json_string_value(json_object_get(metadata, "ss_output_name"));
    const size_t len = name ? strlen(name) : 0;

    out[0] = 0;
    if (len > 0 && len < LIBRARY_LORA_ALIAS_BYTES && utf8_is_text(name, len))
        memcpy(out, name, len + 1);
}

void library_lora_claimed_hash(char out[LIBRARY_SHA256_BYTES], const json_t *metadata)
{
    const char *hash = json_string_value(json_object_get(metadata, "sshs_model_hash"));

    out[0] = 0;
    if (hash && library_sha256_is(hash))
        memcpy(out, hash, LIBRARY_SHA256_BYTES);
}

/* Values that are JSON in a text become JSON, as web UIs' clients expect it. */
static bool unpack(json_t *to, const char *key, json_t *value)
{
    const char *text = json_string_value(value);
    struct error ignored;
    struct json j;

    if (text && text[0] == '{' &&
        json_read_bytes(&j, key, text, strlen(text), SAFETENSORS_MAX_HEADER_BYTES, &ignored)) {
        bool ok = json_object_set(to, key, j.root) == 0;
        json_clear(&j);
        return ok;
    }
    return json_object_set(to, key, value) == 0;
}

bool library_lora_metadata(const struct library_entry *e, char **out, struct error *err)
{
    json_t *all = NULL, *shown = json_object(), *value;
    const char *key;
    bool ok = false;

    *out = NULL;
    if (!shown)
        goto done;
    if (!library_lora_read(&all, e->path, err)) {
        json_decref(shown);
        return false;
    }
    json_object_foreach(all, key, value)
    {
        if (strcmp(key, cover_images) != 0 && !unpack(shown, key, value))
            goto done;
    }
    *out = json_dumps(shown, JSON_COMPACT);
    ok = *out != NULL;

done:
    json_decref(all);
    json_decref(shown);
    return ok || error_set(err, ERROR_MEMORY, "no memory for a LoRA's metadata");
}
