#include "api/sdapi_extras.h"

#include "api/api_late.h"
#include "api/api_result.h"
#include "api/api_submit.h"
#include "api/sdapi_request.h"
#include "image/image_info.h"
#include "jobs/job_queue.h"
#include "supervisor/supervisor.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 64 };

/* Jobs of one request, a picture each; they run in this order, so the last one ends last. */
struct batch {
    struct api *api;
    bool is_single, answered;
    json_t *warnings; /* owned */
    int n;
    char id[BATCH_MAX][JOB_ID_BYTES];
};

/* Nobody waits any more: what has not run need not.  Where the server ends, jobs stay. */
static void free_batch(void *ctx)
{
    struct batch *b = ctx;
    struct error ignored;

    for (int i = 0; !b->answered && !*b->api->stopping && i < b->n; i++)
        (void)!supervisor_cancel(b->api->supervisor, b->id[i], NULL, &ignored);
    json_decref(b->warnings);
    free(b);
}

static void add_warnings(struct batch *b, const json_t *more)
{
    size_t i;
    json_t *text;

    json_array_foreach((json_t *)more, i, text)
    {
        if (json_array_size(b->warnings) < BATCH_MAX)
            json_array_append(b->warnings, text);
    }
}

/* The picture of job i in base64, and what it became in html. */
static json_t *read_job(struct batch *b, struct api_call *call, int i, json_t **html,
                        struct error *err)
{
    struct job job = {0};
    json_t *picture = NULL;

    if (!job_queue_get(call->api->queue, &job, b->id[i], err))
        return NULL;
    if (job.state == JOB_DONE) {
        json_t *result = api_result_json(&job);
        picture = api_result_base64(call, &job, 0, err);
        *html =
            json_sprintf("<p>%dx%d</p>", (int)json_integer_value(json_object_get(result, "width")),
                         (int)json_integer_value(json_object_get(result, "height")));
        add_warnings(b, json_object_get(result, "warnings"));
        json_decref(result);
    } else {
        api_late_error(&job, err);
    }
    job_clear(&job);
    return picture;
}

static json_t *answer_json(void *ctx, struct api_call *call, const struct job *last,
                           struct error *err)
{
    struct batch *b = ctx;
    json_t *images = json_array(), *html = NULL;

    (void)last;
    for (int i = 0; images && i < b->n; i++) {
        json_decref(html);
        html = NULL;
        json_t *one = read_job(b, call, i, &html, err);
        if (!one || json_array_append_new(images, one) != 0) {
            json_decref(images);
            json_decref(html);
            return NULL;
        }
    }
    json_t *out = json_pack("{s:o}", "html_info", html);
    if (b->is_single)
        json_object_set(out, "image", json_array_get(images, 0));
    else
        json_object_set(out, "images", images);
    if (json_array_size(b->warnings) > 0)
        json_object_set(out, "warnings", b->warnings);
    json_decref(images);
    b->answered = out != NULL;
    if (!out)
        error_set(err, ERROR_MEMORY, "no memory for the answer");
    return out;
}

static bool submit_one(struct batch *b, struct api_call *call, const struct sdapi_request *r,
                       const char *field, const json_t *picture, struct error *err)
{
    struct api_input image = {0};
    struct api_submitted job;

    bool ok = api_input_base64(&image, call, field, picture, err) &&
              sdapi_request_submit(r, call, &job, &image, NULL, err);
    api_input_clear(&image);
    if (ok)
        memcpy(b->id[b->n++], job.id, JOB_ID_BYTES);
    return ok;
}

static bool submit_all(struct batch *b, struct api_call *call, const struct sdapi_request *r,
                       const json_t *body, struct error *err)
{
    const json_t *list = json_object_get(body, "imageList");
    const json_t *image = json_object_get(r->parameters, "image");
    size_t i;
    json_t *entry;

    if (b->is_single && json_string_length(image) > 0)
        return submit_one(b, call, r, "image", image, err);
    if (!json_is_array(list)) /* as stable-diffusion-api spells it */
        list = json_object_get(body, "image_list");
    if (b->is_single || json_array_size(list) == 0) {
        call->error_status = 404;
        return error_set(err, ERROR_NOT_FOUND, "Image not found");
    }
    if (json_array_size(list) > BATCH_MAX)
        return api_fail(call, err, 422, "imageList",
                        "imageList has %zu pictures; at most %d are allowed", json_array_size(list),
                        BATCH_MAX);
    json_array_foreach((json_t *)list, i, entry)
    {
        const json_t *data = json_is_object(entry) ? json_object_get(entry, "data") : entry;
        if (!data)
            data = json_object_get(entry, "image");
        if (!submit_one(b, call, r, "imageList", data, err))
            return false;
    }
    return true;
}

static bool make(struct api_call *call, enum sdapi_endpoint endpoint, struct error *err)
{
    struct sdapi_request r = {0};
    struct batch *b = calloc(1, sizeof *b);
    json_t *body = NULL;

    if (!b)
        return error_set(err, ERROR_MEMORY, "no memory for the pictures");
    b->api = call->api;
    b->is_single = endpoint == SDAPI_EXTRA;
    bool ok = api_read_json(call, &body, true, err) &&
              sdapi_request_read(&r, call, body, endpoint, err) &&
              submit_all(b, call, &r, body, err);
    b->warnings = json_incref(r.warnings);
    json_decref(body);
    sdapi_request_clear(&r);
    if (!ok) {
        free_batch(b);
        return false;
    }
    const struct api_late late = {.answer = answer_json, .free_ctx = free_batch, .ctx = b};
    return api_late_reply(call, b->id[b->n - 1], &late, err);
}

bool sdapi_extras_single(struct api_call *call, struct error *err)
{
    return make(call, SDAPI_EXTRA, err);
}

bool sdapi_extras_batch(struct api_call *call, struct error *err)
{
    return make(call, SDAPI_EXTRA_BATCH, err);
}

bool sdapi_extras_png_info(struct api_call *call, struct error *err)
{
    struct api_input image = {0};
    struct image_info info;
    json_t *body = NULL, *reply = NULL;

    if (!api_read_json(call, &body, true, err))
        return false;
    const json_t *picture = json_object_get(body, "image");
    bool ok = false;
    if (json_string_length(picture) == 0) {
        call->error_status = 404;
        error_set(err, ERROR_NOT_FOUND, "Image not found");
    } else {
        ok = api_input_base64(&image, call, "image", picture, err) &&
             image_info_read(&info, image.bytes, image.n_bytes, image_default_limits(), err);
    }
    json_decref(body);
    api_input_clear(&image);
    if (!ok)
        return false;
    reply = image_info_json_sdapi(&info, err);
    image_info_clear(&info);
    return reply && api_reply_json(call, 200, reply, err);
}
