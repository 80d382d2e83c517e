#include "api/sdapi_images.h"

#include "api/api_late.h"
#include "api/api_submit.h"
#include "api/sdapi_answer.h"
#include "base/log.h"
#include "config/settings.h"

static void log_prompt(struct api_call *call, const char *id, const json_t *canonical)
{
    char quoted[1200];
    const char *prompt = json_string_value(json_object_get(canonical, "prompt"));

    if (call->api->settings->log_prompts != TRI_TRUE)
        return;
    log_quote(quoted, sizeof quoted, prompt ? prompt : "");
    log_event(call->api->log, LOG_INFO, "job_prompt", "job=%s prompt=%s", id, quoted);
}

/* The first of init_images counts: the model begins with one. */
static bool read_pictures(struct sdapi_request *r, struct api_call *call, struct api_input *image,
                          struct api_input *mask, struct error *err)
{
    const json_t *list = json_object_get(r->parameters, "init_images");
    const json_t *mask_text = json_object_get(r->parameters, "mask");

    if (json_array_size(list) == 0) {
        call->error_status = 404;
        return error_set(err, ERROR_NOT_FOUND, "Init image not found");
    }
    if (json_array_size(list) > 1)
        json_array_append_new(r->warnings, json_string("only the first of init_images was used"));
    return api_input_base64(image, call, "init_images", json_array_get(list, 0), err) &&
           (!sdapi_fields_is_said(mask_text) ||
            api_input_base64(mask, call, "mask", mask_text, err));
}

static bool submit(struct sdapi_request *r, struct api_call *call, struct api_submitted *job,
                   struct error *err)
{
    struct api_input image = {0}, mask = {0};
    bool ok = r->endpoint != SDAPI_IMG2IMG || read_pictures(r, call, &image, &mask, err);

    if (ok && !mask.bytes)
        json_object_del(r->canonical, "mask");
    ok = ok && sdapi_request_submit(r, call, job, image.bytes ? &image : NULL,
                                    mask.bytes ? &mask : NULL, err);
    api_input_clear(&image);
    api_input_clear(&mask);
    return ok;
}

static bool make(struct api_call *call, enum sdapi_endpoint endpoint, struct error *err)
{
    struct sdapi_request r = {0};
    struct api_submitted job;
    struct sdapi_answer *answer = NULL;
    json_t *body = NULL;

    bool ok = api_read_json(call, &body, true, err) &&
              sdapi_request_read(&r, call, body, endpoint, err) && submit(&r, call, &job, err);
    json_decref(body);
    if (ok) {
        log_prompt(call, job.id, r.canonical);
        answer = sdapi_answer_new(&r);
        ok = answer || error_set(err, ERROR_MEMORY, "no memory for the answer");
        if (!ok) {
            struct error ignored;
            (void)!api_submit_cancel(call, job.id, &ignored);
        }
    }
    sdapi_request_clear(&r); /* pictures are on disk now */
    if (!ok)
        return false;
    answer->subseed = job.subseed;
    const struct api_late late = {
        .answer = sdapi_answer_json, .free_ctx = sdapi_answer_free, .ctx = answer};
    return api_late_reply(call, job.id, &late, err);
}

bool sdapi_images_txt2img(struct api_call *call, struct error *err)
{
    return make(call, SDAPI_TXT2IMG, err);
}

bool sdapi_images_img2img(struct api_call *call, struct error *err)
{
    return make(call, SDAPI_IMG2IMG, err);
}
