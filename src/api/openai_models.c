#include "api/openai_models.h"

#include "config/settings.h"
#include "library/library.h"

#include <string.h>

static json_t *model_json(const struct library_entry *e)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", e->name, "object", "model", "created",
                     (json_int_t)(e->modified_unix_ms / 1000), "owned_by", "local", "label",
                     e->label);
}

bool openai_models_list(struct api_call *call, struct error *err)
{
    struct library_list list = {0};
    json_t *data = json_array();

    if (!library_list(call->api->library, LIBRARY_MODEL, &list, err)) {
        json_decref(data);
        return false;
    }
    bool ok = data != NULL;
    for (size_t i = 0; ok && i < list.n; i++)
        if (!list.entries[i]->problem)
            ok = json_array_append_new(data, model_json(list.entries[i])) == 0;
    library_list_clear(&list);
    if (!ok) {
        json_decref(data);
        return error_set(err, ERROR_MEMORY, "no memory for the list");
    }
    return api_reply_json(call, 200, json_pack("{s:s, s:o}", "object", "list", "data", data), err);
}

/* Does name begin with a word of the list? */
static bool is_alias(const char *list, const char *name)
{
    while (*list) {
        size_t len = strcspn(list, " ");
        if (len > 0 && strncmp(name, list, len) == 0)
            return true;
        list += len;
        list += strspn(list, " ");
    }
    return false;
}

bool openai_models_find(struct api_call *call, const char *name, const struct library_entry **out,
                        struct error *err)
{
    struct library *lib = call->api->library;

    if (!name || !*name)
        return library_default_model(lib, out, err);
    if (library_find_sound(lib, LIBRARY_MODEL, name, out, err))
        return true;
    if (err->code == ERROR_NOT_FOUND && is_alias(call->api->settings->openai_aliases, name))
        return library_default_model(lib, out, err);
    call->error_field = "model";
    if (err->code == ERROR_NOT_FOUND)
        call->error_status = 404;
    return false;
}

bool openai_models_get(struct api_call *call, struct error *err)
{
    const struct library_entry *e = NULL;

    if (!openai_models_find(call, call->argument[0], &e, err))
        return false;
    json_t *body = model_json(e);
    library_entry_free(e);
    return api_reply_json(call, 200, body, err);
}
