#include "api/sdapi_lists.h"

#include "image/builtin_upscaler.h"
#include "library/library.h"

#include <stdlib.h>
#include <string.h>

/* Trainers write pages about their training; beyond so much in one list it is left out. */
enum { METADATA_MAX_BYTES = 8 << 20 };

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

typedef json_t *(*row_fn)(const struct library_entry *e, size_t *room);

/* Appends a row for every sound entry. */
static bool add_kind(struct api_call *call, json_t *rows, enum library_kind kind, row_fn row,
                     struct error *err)
{
    struct library_list list = {0};
    size_t room = METADATA_MAX_BYTES;

    if (!library_list(call->api->library, kind, &list, err))
        return false;
    bool ok = rows != NULL;
    for (size_t i = 0; ok && i < list.n; i++)
        if (!list.entries[i]->problem)
            ok = json_array_append_new(rows, row(list.entries[i], &room)) == 0;
    library_list_clear(&list);
    return ok || error_set(err, ERROR_MEMORY, "no memory for the list");
}

/* Takes rows. */
static bool reply_kind(struct api_call *call, json_t *rows, enum library_kind kind, row_fn row,
                       struct error *err)
{
    if (add_kind(call, rows, kind, row, err))
        return api_reply_json(call, 200, rows, err);
    json_decref(rows);
    return false;
}

static json_t *model_row(const struct library_entry *e, size_t *room)
{
    (void)room;
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:n}", "title", e->title, "model_name", e->name,
                     "hash", text_or_null(e->short_hash), "sha256", text_or_null(e->sha256),
                     "filename", e->file_name, "config");
}

bool sdapi_lists_models(struct api_call *call, struct error *err)
{
    return reply_kind(call, json_array(), LIBRARY_MODEL, model_row, err);
}

static json_t *vae_row(const struct library_entry *e, size_t *room)
{
    (void)room;
    return json_pack("{s:s, s:s}", "model_name", e->name, "filename", e->file_name);
}

bool sdapi_lists_vaes(struct api_call *call, struct error *err)
{
    return reply_kind(call, json_array(), LIBRARY_VAE, vae_row, err);
}

static json_t *lora_row(const struct library_entry *e, size_t *room)
{
    char *text = NULL;
    struct error ignored;
    json_t *metadata = NULL;

    if (library_lora_metadata(e, &text, &ignored) && strlen(text) < *room) {
        *room -= strlen(text);
        metadata = json_loads(text, 0, NULL);
    }
    free(text);
    return json_pack("{s:s, s:s, s:s, s:o}", "name", e->name, "alias",
                     e->alias && e->alias[0] ? e->alias : e->name, "path", e->file_name, "metadata",
                     metadata ? metadata : json_object());
}

bool sdapi_lists_loras(struct api_call *call, struct error *err)
{
    return reply_kind(call, json_array(), LIBRARY_LORA, lora_row, err);
}

static json_t *embedding_row(const struct library_entry *e)
{
    return json_pack("{s:o, s:n, s:n, s:i, s:i}", "step",
                     e->step >= 0 ? json_integer((json_int_t)e->step) : json_null(),
                     "sd_checkpoint", "sd_checkpoint_name", "shape", e->vector_widths[0], "vectors",
                     e->n_vectors);
}

bool sdapi_lists_embeddings(struct api_call *call, struct error *err)
{
    struct library_list list = {0};
    json_t *loaded = json_object(), *skipped = json_object();
    bool ok = loaded && skipped && library_list(call->api->library, LIBRARY_EMBEDDING, &list, err);

    for (size_t i = 0; ok && i < list.n; i++)
        ok = json_object_set_new(list.entries[i]->problem ? skipped : loaded, list.entries[i]->name,
                                 embedding_row(list.entries[i])) == 0;
    library_list_clear(&list);
    if (ok)
        return api_reply_json(call, 200,
                              json_pack("{s:o, s:o}", "loaded", loaded, "skipped", skipped), err);
    json_decref(loaded);
    json_decref(skipped);
    return err->text[0] ? false : error_set(err, ERROR_MEMORY, "no memory for the list");
}

static json_t *upscaler_json(const char *name, const char *file, int scale)
{
    return json_pack("{s:s, s:n, s:o, s:n, s:i}", "name", name, "model_name", "model_path",
                     text_or_null(file), "model_url", "scale", scale);
}

static json_t *upscaler_row(const struct library_entry *e, size_t *room)
{
    (void)room;
    return upscaler_json(e->name, e->file_name, e->scale > 0 ? e->scale : 4);
}

/* None stands first: clients put the latent modes behind it. */
bool sdapi_lists_upscalers(struct api_call *call, struct error *err)
{
    static const char *const first[] = {"None", "Lanczos", "Nearest"};
    json_t *rows = json_array();

    for (int i = 0; i < 3; i++)
        json_array_append_new(rows, upscaler_json(first[i], NULL, 4));
    return reply_kind(call, rows, LIBRARY_UPSCALER, upscaler_row, err);
}

bool sdapi_lists_latent_modes(struct api_call *call, struct error *err)
{
    json_t *rows = json_array();
    bool ok = rows != NULL;

    for (size_t i = 0; ok && builtin_upscaler_at(i); i++)
        if (builtin_upscaler_at(i)->is_latent)
            ok = json_array_append_new(
                     rows, json_pack("{s:s}", "name", builtin_upscaler_at(i)->name)) == 0;
    if (ok)
        return api_reply_json(call, 200, rows, err);
    json_decref(rows);
    return error_set(err, ERROR_MEMORY, "no memory for the list");
}

bool sdapi_lists_scripts(struct api_call *call, struct error *err)
{
    return api_reply_json(call, 200, json_pack("{s:[], s:[]}", "txt2img", "img2img"), err);
}

bool sdapi_lists_nothing(struct api_call *call, struct error *err)
{
    return api_reply_json(call, 200, json_array(), err);
}

bool sdapi_lists_refresh(struct api_call *call, struct error *err)
{
    return library_refresh(call->api->library, err) && api_reply_json(call, 200, json_null(), err);
}
