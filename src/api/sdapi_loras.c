#include "api/sdapi_loras.h"

#include "library/library.h"
#include "request/gen_request.h"

#include <stdlib.h>
#include <string.h>

/* Length of a tag like "<lora:name:0.8>" at the begin of text; 0: there is none. */
static size_t tag_length(const char *text)
{
    static const char *const kinds[] = {"<lora:", "<lyco:", "<hypernet:"};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t len = strlen(kinds[i]), name = strcspn(text, ">");
        if (strncmp(text, kinds[i], len) == 0 && name > len && text[name] == '>')
            return name + 1;
    }
    return 0;
}

static bool remove_tags(json_t *canonical, const char *key, struct error *err)
{
    const char *text = json_string_value(json_object_get(canonical, key));
    char *plain = text ? malloc(strlen(text) + 1) : NULL;
    size_t n = 0;

    if (!text)
        return true;
    for (; plain && *text; text++) {
        size_t tag = tag_length(text);
        while (tag > 0) {
            text += tag;
            tag = tag_length(text);
        }
        if (!*text)
            break;
        plain[n++] = *text;
    }
    bool ok = plain && json_object_set_new(canonical, key, json_stringn(plain, n)) == 0;
    free(plain);
    return ok || error_set(err, ERROR_MEMORY, "no memory for the prompt");
}

/* One entry as {"name", "scale"}; NULL: it was left out, and why is a warning. */
static json_t *read_entry(struct sdapi_request *r, struct api_call *call, const json_t *entry)
{
    const struct library_entry *e = NULL;
    const char *path = json_string_value(json_object_get(entry, "path"));
    const json_t *scale = json_object_get(entry, "multiplier");
    struct error why;

    if (!path)
        path = json_string_value(json_object_get(entry, "name"));
    if (!path) {
        json_array_append_new(r->warnings, json_string("an entry of lora has no path; it was left "
                                                       "out"));
        return NULL;
    }
    if (!library_find_sound(call->api->library, LIBRARY_LORA, path, &e, &why)) {
        json_array_append_new(
            r->warnings, json_sprintf("the LoRA '%.60s' was left out: it was not found", path));
        return NULL;
    }
    json_t *out = json_pack("{s:s, s:f}", "name", e->name, "scale",
                            json_is_number(scale) ? json_number_value(scale) : 1.0);
    library_entry_free(e);
    return out;
}

static bool read_list(struct sdapi_request *r, struct api_call *call, const json_t *list,
                      struct error *err)
{
    json_t *loras = json_array(), *entry;
    size_t i;

    if (json_array_size(list) > GEN_MAX_LORAS) {
        json_decref(loras);
        return api_fail(call, err, 422, "lora", "lora has %zu entries; at most %d are allowed",
                        json_array_size(list), GEN_MAX_LORAS);
    }
    json_array_foreach((json_t *)list, i, entry)
    {
        json_t *row = read_entry(r, call, entry);
        if (row)
            json_array_append_new(loras, row);
    }
    return json_object_set_new(r->canonical, "loras", loras) == 0 ||
           error_set(err, ERROR_MEMORY, "no memory for the request");
}

bool sdapi_loras_write(struct sdapi_request *r, struct api_call *call, const json_t *body,
                       struct error *err)
{
    static const char *const prompts[] = {"prompt", "negative_prompt"};
    const json_t *list = json_object_get(body, "lora");
    json_t *hires = json_object_get(r->canonical, "hires");

    if (json_is_true(json_object_get(r->parameters, "disable_extra_networks"))) {
        for (int i = 0; i < 2; i++)
            if (!remove_tags(r->canonical, prompts[i], err) ||
                (hires && !remove_tags(hires, prompts[i], err)))
                return false;
        return true;
    }
    return !json_is_array(list) || json_array_size(list) == 0 || read_list(r, call, list, err);
}
