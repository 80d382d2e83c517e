#include "api/sdapi_answer.h"

#include "api/api_result.h"
#include "api/sdapi_info.h"

#include <stdlib.h>

struct sdapi_answer *sdapi_answer_new(const struct sdapi_request *r)
{
    static const char *const pictures[] = {"init_images", "mask"};
    struct sdapi_answer *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->endpoint = r->endpoint;
    a->parameters = json_copy(r->parameters);
    a->warnings = json_incref(r->warnings);
    /* Nobody needs them any more, unless they were asked for: they are on disk. */
    for (int i = 0; i < 2; i++)
        if (json_object_get(a->parameters, pictures[i]) &&
            !json_is_true(json_object_get(a->parameters, "include_init_images")))
            json_object_set_new(a->parameters, pictures[i], json_null());
    if (a->parameters)
        return a;
    sdapi_answer_free(a);
    return NULL;
}

void sdapi_answer_free(void *answer)
{
    struct sdapi_answer *a = answer;

    if (!a)
        return;
    json_decref(a->parameters);
    json_decref(a->warnings);
    free(a);
}

static json_t *read_images(const struct sdapi_answer *a, struct api_call *call,
                           const struct job *job, struct error *err)
{
    json_t *images = json_array();
    int n =
        json_is_false(json_object_get(a->parameters, "send_images")) ? 0 : api_result_count(job);

    for (int i = 0; images && i < n; i++) {
        json_t *one = api_result_base64(call, job, i, err);
        if (!one || json_array_append_new(images, one) != 0) {
            json_decref(images);
            return NULL;
        }
    }
    return images;
}

static json_t *all_warnings(const struct sdapi_answer *a, const json_t *result)
{
    json_t *list = json_copy(a->warnings), *more = json_object_get(result, "warnings");

    if (list && json_is_array(more))
        json_array_extend(list, more);
    return list;
}

json_t *sdapi_answer_json(void *ctx, struct api_call *call, const struct job *job,
                          struct error *err)
{
    const struct sdapi_answer *a = ctx;
    json_t *result = api_result_json(job), *memory = json_object_get(result, "memory");
    json_t *warnings = all_warnings(a, result);
    json_t *images = read_images(a, call, job, err), *out = NULL;

    if (images)
        out = json_pack("{s:O, s:O, s:o}", "images", images, "parameters", a->parameters, "info",
                        sdapi_info_text(a, call, job, result, warnings));
    if (out) {
        if (memory)
            json_object_set(out, "memory", memory);
        if (json_array_size(warnings) > 0)
            json_object_set(out, "warnings", warnings);
    } else if (!err->text[0]) {
        error_set(err, ERROR_MEMORY, "no memory for the answer");
    }
    json_decref(images);
    json_decref(warnings);
    json_decref(result);
    return out;
}
