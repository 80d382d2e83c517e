#include "api/openai_images.h"

#include "api/api_late.h"
#include "api/api_submit.h"
#include "api/openai_stream.h"

/* The official clients try again on 409, 429 and 5xx: of no use once the job itself has failed. */
static bool wait_for_answer(struct api_call *call, const char *id, struct openai_answer *answer,
                            struct error *err)
{
    const struct api_late late = {
        .answer = openai_answer_json, .free_ctx = openai_answer_free, .ctx = answer};

    if (api_late_reply(call, id, &late, err))
        return true;
    http_reply_header(call->reply, "x-should-retry", "false");
    return false;
}

static bool submit(struct api_call *call, struct openai_request *r, struct api_submitted *job,
                   struct error *err)
{
    json_t *wire = api_input_without_pictures(r->body.fields);
    struct api_submission s = {.family = "openai",
                               .request = r->canonical,
                               .image = r->body.image.bytes ? &r->body.image : NULL,
                               .mask = r->body.mask.bytes ? &r->body.mask : NULL,
                               .wire = wire};
    bool ok = api_submit(call, job, &s, err);

    json_decref(wire);
    return ok;
}

static bool make(struct api_call *call, enum openai_request_kind kind, struct error *err)
{
    struct openai_request r = {0};
    struct api_submitted job;
    struct openai_answer *answer = NULL;
    bool stream = false;

    bool ok = openai_request_read(&r, call, kind, err);
    if (ok) {
        answer = openai_answer_new(&r);
        stream = r.fields.stream;
        ok = answer ? submit(call, &r, &job, err)
                    : error_set(err, ERROR_MEMORY, "no memory for the answer");
    }
    openai_request_clear(&r); /* pictures are on disk now */
    if (!ok) {
        openai_answer_free(answer);
        return false;
    }
    http_reply_header(call->reply, "x-request-id", "%s", job.id);
    return stream ? openai_stream_reply(call, job.id, answer, err)
                  : wait_for_answer(call, job.id, answer, err);
}

bool openai_images_generate(struct api_call *call, struct error *err)
{
    return make(call, OPENAI_GENERATION, err);
}

bool openai_images_edit(struct api_call *call, struct error *err)
{
    return make(call, OPENAI_EDIT, err);
}

bool openai_images_vary(struct api_call *call, struct error *err)
{
    return make(call, OPENAI_VARIATION, err);
}
