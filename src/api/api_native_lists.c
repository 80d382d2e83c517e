#include "api/api_native_lists.h"

#include "image/builtin_upscaler.h"
#include "library/library.h"
#include "sampler/sampler.h"
#include "sampler/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends the entry's row to out; false where it is left out. */
typedef json_t *(*row_fn)(struct api_call *call, const struct library_entry *e);

static bool append(json_t *list, json_t *row, struct error *err)
{
    return json_array_append_new(list, row) == 0 ||
           error_set(err, ERROR_MEMORY, "no memory for the list");
}

/* {"status", key: rows} of what can be used in a folder of the library. */
static bool reply_list(struct api_call *call, const char *key, json_t *rows, struct error *err)
{
    return api_reply_json(call, 200, json_pack("{s:s, s:o}", "status", "success", key, rows), err);
}

static bool list_kind(struct api_call *call, enum library_kind kind, json_t *rows, row_fn row,
                      bool with_problems, struct error *err)
{
    struct library_list list = {0};

    if (!library_list(call->api->library, kind, &list, err))
        return false;
    bool ok = true;
    for (size_t i = 0; i < list.n && ok; i++)
        if (with_problems || !list.entries[i]->problem)
            ok = append(rows, row(call, list.entries[i]), err);
    library_list_clear(&list);
    return ok;
}

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

/* What every kind of file tells. */
static void set_common(json_t *row, const struct library_entry *e)
{
    json_object_set_new(row, "family", text_or_null(e->family));
    json_object_set_new(row, "hash", text_or_null(e->short_hash));
    json_object_set_new(row, "bytes", json_integer((json_int_t)e->bytes));
    if (e->problem)
        json_object_set_new(row, "problem", json_string(e->problem));
}

static json_t *model_row(struct api_call *call, const struct library_entry *e)
{
    const struct library_entry *standard = NULL;
    struct error ignored;
    bool is_default = library_default_model(call->api->library, &standard, &ignored) &&
                      strcmp(standard->name, e->name) == 0;
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:b, s:i}", "name", e->name, "label", e->label, "title",
                  e->title, "default", is_default, "native_side", e->native_side);

    library_entry_free(standard);
    if (row)
        set_common(row, e);
    return row;
}

static json_t *named_row(struct api_call *call, const struct library_entry *e)
{
    json_t *row = json_pack("{s:s}", "name", e->name);
    (void)call;
    if (row)
        set_common(row, e);
    return row;
}

static json_t *lora_row(struct api_call *call, const struct library_entry *e)
{
    json_t *row = named_row(call, e);
    if (row) {
        json_object_set_new(row, "scale", json_real(1));
        json_object_set_new(row, "alias", text_or_null(e->alias));
    }
    return row;
}

static json_t *embedding_row(struct api_call *call, const struct library_entry *e)
{
    json_t *row = named_row(call, e);
    if (row)
        json_object_set_new(row, "vectors", json_integer(e->n_vectors));
    return row;
}

static bool reply_kind(struct api_call *call, enum library_kind kind, const char *key, row_fn row,
                       struct error *err)
{
    char all[8];
    bool with_problems = http_request_query(call->request, "all", all, sizeof all);
    json_t *rows = json_array();

    if (!list_kind(call, kind, rows, row, with_problems, err)) {
        json_decref(rows);
        return false;
    }
    return reply_list(call, key, rows, err);
}

bool api_native_lists_models(struct api_call *call, struct error *err)
{
    return reply_kind(call, LIBRARY_MODEL, "models", model_row, err);
}

bool api_native_lists_loras(struct api_call *call, struct error *err)
{
    return reply_kind(call, LIBRARY_LORA, "loras", lora_row, err);
}

bool api_native_lists_vaes(struct api_call *call, struct error *err)
{
    return reply_kind(call, LIBRARY_VAE, "vaes", named_row, err);
}

bool api_native_lists_embeddings(struct api_call *call, struct error *err)
{
    return reply_kind(call, LIBRARY_EMBEDDING, "embeddings", embedding_row, err);
}

bool api_native_lists_aliases(struct api_call *call, struct error *err)
{
    struct library_labels labels = {0};
    json_t *rows = json_array();
    bool ok = library_labels(call->api->library, &labels, err);

    for (size_t i = 0; i < labels.n && ok; i++)
        ok = append(
            rows,
            json_pack("{s:s, s:s}", "name", labels.rows[i].name, "label", labels.rows[i].label),
            err);
    library_labels_clear(&labels);
    if (!ok) {
        json_decref(rows);
        return false;
    }
    return reply_list(call, "aliases", rows, err);
}

static json_t *upscaler_row(struct api_call *call, const struct library_entry *e)
{
    char about[64];
    int scale = e->scale > 0 ? e->scale : 1;
    json_t *row = named_row(call, e);

    if (!row)
        return NULL;
    snprintf(about, sizeof about, "ESRGAN upscaler model (%dx)", scale);
    json_object_set_new(row, "type", json_string("external"));
    json_object_set_new(row, "scale", json_integer(scale));
    json_object_set_new(row, "size_mb", json_real(round((double)e->bytes / (1 << 20) * 100) / 100));
    json_object_set_new(row, "description", json_string(about));
    return row;
}

static int by_name(const void *a, const void *b)
{
    json_t *const *x = a, *const *y = b;
    return strcmp(json_string_value(json_object_get(*x, "name")),
                  json_string_value(json_object_get(*y, "name")));
}

/* A list sorted by name, built-in ones and files together, as in the original. */
static bool sort_rows(json_t **rows, struct error *err)
{
    size_t n = json_array_size(*rows);
    json_t **all = calloc(n ? n : 1, sizeof(json_t *)), *sorted = json_array();

    for (size_t i = 0; i < n && all; i++)
        all[i] = json_array_get(*rows, i);
    if (all)
        qsort(all, n, sizeof(json_t *), by_name);
    for (size_t i = 0; i < n && all; i++)
        json_array_append(sorted, all[i]);
    bool ok = all && json_array_size(sorted) == n;
    free(all);
    json_decref(*rows);
    *rows = sorted;
    return ok || error_set(err, ERROR_MEMORY, "no memory for the list");
}

bool api_native_lists_upscalers(struct api_call *call, struct error *err)
{
    json_t *rows = json_array();
    char about[80];
    bool ok = true;

    for (size_t i = 0; builtin_upscaler_at(i) && ok; i++) {
        const char *name = builtin_upscaler_at(i)->name;
        snprintf(about, sizeof about, "Built-in %s upscaler", name);
        ok = append(
            rows,
            json_pack("{s:s, s:s, s:s}", "name", name, "type", "internal", "description", about),
            err);
    }
    ok = ok && list_kind(call, LIBRARY_UPSCALER, rows, upscaler_row, false, err) &&
         sort_rows(&rows, err);
    if (!ok) {
        json_decref(rows);
        return false;
    }
    return reply_list(call, "upscalers", rows, err);
}

bool api_native_lists_samplers(struct api_call *call, struct error *err)
{
    /* Names of the original that are a sampler with a schedule; clients look for them. */
    static const char *const with_schedule[] = {"DPM++ 2M Karras", "DPM++ SDE Karras",
                                                "LMS Karras"};
    json_t *samplers = json_array(), *schedulers = json_array();
    bool ok = true;

    for (const struct sampler *s = sampler_rows; s->name && ok; s++)
        ok = append(samplers, json_string(s->name), err);
    for (size_t i = 0; i < sizeof with_schedule / sizeof with_schedule[0] && ok; i++)
        ok = append(samplers, json_string(with_schedule[i]), err);
    for (int i = 0; i < SCHEDULE_KINDS && ok; i++)
        ok = append(schedulers, json_string(schedule_rows[i].name), err);
    if (!ok) {
        json_decref(samplers);
        json_decref(schedulers);
        return false;
    }
    return api_reply_json(call, 200,
                          json_pack("{s:s, s:o, s:o}", "status", "success", "sampling_methods",
                                    samplers, "scheduler_types", schedulers),
                          err);
}
