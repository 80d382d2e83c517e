#include "api/openai_answer.h"

#include "api/api_result.h"
#include "config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void copy(char *out, size_t room, const char *text, const char *fallback)
{
    snprintf(out, room, "%s", text[0] ? text : fallback);
}

struct openai_answer *openai_answer_new(const struct openai_request *r)
{
    struct openai_answer *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->as_url = r->as_url;
    a->is_edit = r->kind != OPENAI_GENERATION;
    a->partial_images = r->fields.partial_images;
    copy(a->quality, sizeof a->quality, r->fields.quality, "auto");
    copy(a->background, sizeof a->background, r->fields.background, "opaque");
    copy(a->output_format, sizeof a->output_format, r->fields.output_format, "png");
    a->warnings = json_incref(r->warnings);
    return a;
}

void openai_answer_free(void *answer)
{
    struct openai_answer *a = answer;

    if (a)
        json_decref(a->warnings);
    free(a);
}

json_t *openai_answer_usage(void)
{
    return json_pack("{s:i, s:i, s:i, s:{s:i, s:i}}", "total_tokens", 0, "input_tokens", 0,
                     "output_tokens", 0, "input_tokens_details", "text_tokens", 0, "image_tokens",
                     0);
}

void openai_answer_describe(const struct openai_answer *a, json_t *out, const json_t *result)
{
    json_t *width = json_object_get(result, "width"), *height = json_object_get(result, "height");

    if (json_is_integer(width) && json_is_integer(height))
        json_object_set_new(
            out, "size",
            json_sprintf("%dx%d", (int)json_integer_value(width), (int)json_integer_value(height)));
    json_object_set_new(out, "quality", json_string(a->quality));
    json_object_set_new(out, "background", json_string(a->background));
    json_object_set_new(out, "output_format", json_string(a->output_format));
}

/* One picture: an address or base64, never both. */
static json_t *item(const struct openai_answer *a, struct api_call *call, const struct job *job,
                    int n, struct error *err)
{
    char url[SETTINGS_TEXT_BYTES + 256];
    json_t *out = json_object(), *value = NULL;

    if (a->as_url) {
        if (api_result_url(call, url, sizeof url, job->id, n, true,
                           call->api->settings->url_seconds, err))
            value = json_string(url);
    } else {
        value = api_result_base64(call, job, n, err);
    }
    if (!value || json_object_set_new_nocheck(out, a->as_url ? "url" : "b64_json", value) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

/* What the picture became smaller than, where it did. */
static void tell_size(struct api_call *call, const json_t *result)
{
    const json_t *from = json_object_get(json_object_get(result, "memory"), "size_adjusted_from");
    const json_t *width = json_object_get(from, "width"), *height = json_object_get(from, "height");

    if (json_is_integer(width) && json_is_integer(height))
        http_reply_header(call->reply, "x-size-adjusted-from",
                          "%" JSON_INTEGER_FORMAT "x%" JSON_INTEGER_FORMAT,
                          json_integer_value(width), json_integer_value(height));
}

static json_t *all_warnings(const struct openai_answer *a, const json_t *result)
{
    json_t *list = json_copy(a->warnings), *more = json_object_get(result, "warnings");

    if (list && json_is_array(more))
        json_array_extend(list, more);
    return list;
}

json_t *openai_answer_json(void *ctx, struct api_call *call, const struct job *job,
                           struct error *err)
{
    const struct openai_answer *a = ctx;
    json_t *result = api_result_json(job), *data = json_array();
    json_t *memory = json_object_get(result, "memory");
    bool ok = data != NULL;

    for (int i = 0; ok && i < api_result_count(job); i++) {
        json_t *one = item(a, call, job, i, err);
        ok = one && json_array_append_new(data, one) == 0;
    }
    json_t *out = ok ? json_pack("{s:I, s:O, s:o, s:s, s:o}", "created", (json_int_t)time(NULL),
                                 "data", data, "usage", openai_answer_usage(), "id", job->id,
                                 "warnings", all_warnings(a, result))
                     : NULL;
    if (out) {
        openai_answer_describe(a, out, result);
        if (memory)
            json_object_set(out, "memory", memory);
        tell_size(call, result);
    } else if (!err->text[0]) {
        error_set(err, ERROR_MEMORY, "no memory for the answer");
    }
    json_decref(data);
    json_decref(result);
    return out;
}
