#include "api/api_native_submit.h"

#include "api/api_error.h"
#include "api/api_native_request.h"
#include "api/api_result.h"
#include "api/api_submit.h"
#include "config/settings.h"
#include "http/http_auth.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <string.h>

enum { PLAN_TIMEOUT_MS = 60000, EVENTS_URL_SECONDS = 86400 };

static void log_prompt(struct api_call *call, const char *id, const json_t *canonical)
{
    char quoted[1200];
    const char *prompt = json_string_value(json_object_get(canonical, "prompt"));

    if (call->api->settings->log_prompts != TRI_TRUE)
        return;
    log_quote(quoted, sizeof quoted, prompt ? prompt : "");
    log_event(call->api->log, LOG_INFO, "job_prompt", "job=%s prompt=%s", id, quoted);
}

/* The original's answer, which shows the seed as it was asked for; the rest is added. */
static bool reply_submitted(struct api_call *call, const json_t *body,
                            const struct api_native_request *request,
                            const struct api_submitted *job, struct error *err)
{
    json_t *seed = json_object_get(body, "seed");
    json_t *reply = json_pack("{s:s, s:s, s:O?}", "job_id", job->id, "status", "queued", "seed",
                              seed && !json_is_null(seed) ? seed : NULL);

    if (reply && !json_object_get(reply, "seed"))
        json_object_set_new(reply, "seed", json_null());
    if (reply && json_array_size(request->warnings) > 0)
        json_object_set(reply, "warnings", request->warnings);
    return api_reply_json(call, 200, reply, err);
}

static bool submit(struct api_call *call, bool is_img2img, struct error *err)
{
    struct api_native_request request = {0};
    struct api_submitted job;
    json_t *body;

    if (!api_read_json(call, &body, true, err))
        return false;
    bool ok = api_native_request_read(&request, call, body, is_img2img, err);
    if (ok) {
        struct api_submission s = {.family = "native",
                                   .request = request.canonical,
                                   .image = request.image.bytes ? &request.image : NULL,
                                   .mask = request.mask.bytes ? &request.mask : NULL,
                                   .wire = request.payload};
        ok = api_submit(call, &job, &s, err);
    }
    if (ok) {
        log_prompt(call, job.id, request.canonical);
        ok = reply_submitted(call, body, &request, &job, err);
    }
    api_native_request_clear(&request);
    json_decref(body);
    return ok;
}

bool api_native_submit_txt2img(struct api_call *call, struct error *err)
{
    return submit(call, false, err);
}

bool api_native_submit_img2img(struct api_call *call, struct error *err)
{
    return submit(call, true, err);
}

/* The size of the picture to start from: {"input": {"width", "height"}}, or a picture itself. */
static bool read_input_size(struct api_call *call, const json_t *body, json_t **out,
                            struct error *err)
{
    const json_t *image = json_object_get(body, "image");
    const json_t *input = json_object_get(body, "input");
    struct api_input picture;

    *out = NULL;
    if (json_is_string(image) && json_string_length(image) > 0) {
        if (!api_input_base64(&picture, call, "image", image, err))
            return false;
        *out = json_pack("{s:i, s:i}", "width", picture.width, "height", picture.height);
        api_input_clear(&picture);
    } else if (input && !json_is_null(input)) {
        json_int_t w = json_integer_value(json_object_get(input, "width"));
        json_int_t h = json_integer_value(json_object_get(input, "height"));
        if (w < 1 || h < 1 || w > 16384 || h > 16384)
            return api_fail(call, err, 0, "input",
                            "input is an object with width and height from 1 to 16384");
        *out = json_pack("{s:I, s:I}", "width", w, "height", h);
    }
    return true;
}

/* A page asks anew with each change of its form, and hangs up on the question before. */
static bool has_left(void *ctx)
{
    const struct api_call *call = ctx;
    return http_request_client_is_gone(call->request);
}

/* The plan, or a refusal in the shape of an error, with the size that would fit. */
static bool reply_plan(struct api_call *call, json_t *answer, const struct api_native_request *r,
                       struct error *err)
{
    const char *refused = json_string_value(json_object_get(answer, "refused"));

    if (refused) {
        json_t *no = json_pack("{s:s, s:s, s:O?}", "status", "error", "detail", refused, "largest",
                               json_object_get(answer, "largest"));
        json_decref(answer);
        return api_reply_json(call, api_error_status(API_NATIVE, ERROR_LIMIT), no, err);
    }
    if (json_is_object(answer)) {
        json_object_set_new(answer, "status", json_string("success"));
        if (json_array_size(r->warnings) > 0)
            json_object_set(answer, "request_warnings", r->warnings);
    }
    return api_reply_json(call, 200, answer, err);
}

bool api_native_submit_plan(struct api_call *call, struct error *err)
{
    const struct supervisor_patience patience = {
        .timeout_ms = PLAN_TIMEOUT_MS, .is_gone = has_left, .ctx = call};
    struct api_native_request request = {0};
    json_t *body, *input = NULL, *answer = NULL, *question = NULL;

    if (!api_read_json(call, &body, true, err))
        return false;
    const char *mode = json_string_value(json_object_get(body, "mode"));
    bool ok = read_input_size(call, body, &input, err);
    bool is_img2img = mode ? strcmp(mode, "img2img") == 0 : input != NULL;
    if (ok && is_img2img && !input)
        ok = api_fail(call, err, 0, "input",
                      "a plan for img2img needs the picture, or its size: {\"input\": {\"width\": "
                      "640, \"height\": 480}}");
    ok = ok && api_native_request_plan(&request, call, body, is_img2img, err);
    if (ok) {
        question = json_pack("{s:O, s:O?}", "job", request.canonical, "input", input);
        ok = question
                 ? supervisor_ask(call->api->supervisor, "plan", question, &answer, &patience, err)
                 : error_set(err, ERROR_MEMORY, "no memory for the question");
        if (!ok && err->code == ERROR_CANCELLED)
            call->error_status = 499;
    }
    ok = ok && reply_plan(call, answer, &request, err);
    json_decref(question);
    json_decref(input);
    api_native_request_clear(&request);
    json_decref(body);
    return ok;
}
