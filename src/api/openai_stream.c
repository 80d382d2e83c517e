#include "api/openai_stream.h"

#include "api/api_error.h"
#include "api/api_event.h"
#include "api/api_late.h"
#include "api/api_result.h"
#include "api/api_submit.h"
#include "api/api_wait.h"
#include "jobs/job_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEEP_ALIVE_SECONDS = 10 };

struct stream {
    struct api_call call; /* a copy: the original ends with the handler */
    struct openai_answer *answer;
    char id[JOB_ID_BYTES];
    uint64_t mark;
    bool begun;
    int sent;     /* partial pictures so far */
    json_t *last; /* the last of them */
};

static void free_stream(void *ctx)
{
    struct stream *s = ctx;

    openai_answer_free(s->answer);
    json_decref(s->last);
    free(s);
}

static json_t *picture_event(const struct stream *s, const char *type, json_t *picture,
                             const json_t *result)
{
    json_t *out = json_pack("{s:s, s:O, s:I}", "type", type, "b64_json", picture, "created_at",
                            (json_int_t)time(NULL));
    if (out)
        openai_answer_describe(s->answer, out, result);
    return out;
}

/* The k-th of n partial pictures comes when k of n + 1 parts of the work are done. */
static void add_partial(struct stream *s, const struct job *job, struct buf *out)
{
    const char *type =
        s->answer->is_edit ? "image_edit.partial_image" : "image_generation.partial_image";

    if (s->sent >= s->answer->partial_images || !job->preview[0] ||
        job->progress < (double)(s->sent + 1) / (s->answer->partial_images + 1))
        return;
    json_t *picture = api_result_preview(&s->call, job);
    if (!picture || (s->last && json_equal(s->last, picture))) {
        json_decref(picture);
        return;
    }
    json_t *event = picture_event(s, type, picture, NULL);
    json_object_set_new(event, "partial_image_index", json_integer(s->sent++));
    api_event_add(out, type, event);
    json_decref(s->last);
    s->last = picture;
}

static void add_error(struct buf *out, const struct error *err)
{
    struct http_reply reply = {0};
    const struct api_error e = {
        .status = api_error_status(API_OPENAI, err->code), .code = err->code, .text = err->text};

    api_error_reply(&reply, API_OPENAI, &e);
    if (reply.failed)
        out->failed = true;
    else
        api_event_add(out, "error", json_loadb(reply.bytes, reply.n_bytes, 0, NULL));
    http_reply_clear(&reply);
}

static void add_end(struct stream *s, const struct job *job, struct buf *out)
{
    const char *type = s->answer->is_edit ? "image_edit.completed" : "image_generation.completed";
    struct error err = {0};

    if (job->state != JOB_DONE) {
        api_late_error(job, &err);
        add_error(out, &err);
        return;
    }
    json_t *result = api_result_json(job);
    json_t *picture = api_result_base64(&s->call, job, 0, &err);
    json_t *event = picture ? picture_event(s, type, picture, result) : NULL;
    if (event) {
        json_object_set_new(event, "usage", openai_answer_usage());
        api_event_add(out, type, event);
    } else {
        add_error(out, &err);
    }
    json_decref(picture);
    json_decref(result);
}

static bool next_events(void *ctx, const struct http_request *r, struct buf *out)
{
    struct stream *s = ctx;
    struct job job = {0};
    struct error err;
    enum api_wait_end woke = API_WAIT_ENDED;

    s->call.request = r;
    if (s->begun)
        woke = api_wait_for_change(s->call.api->wait, r, s->id, s->mark, KEEP_ALIVE_SECONDS);
    s->begun = true;
    if (woke == API_WAIT_CLIENT_GONE)
        (void)!api_submit_cancel(&s->call, s->id, &err);
    if (woke == API_WAIT_CLIENT_GONE || woke == API_WAIT_STOPPING)
        return false;
    if (woke == API_WAIT_TIME)
        buf_add(out, ": keep-alive\n\n", 14);
    s->mark = api_wait_mark(s->call.api->wait);
    if (!job_queue_get(s->call.api->queue, &job, s->id, &err)) {
        add_error(out, &err);
        return false;
    }
    bool ended = job_is_final(job.state);
    if (ended)
        add_end(s, &job, out);
    else if (job.state == JOB_PROCESSING)
        add_partial(s, &job, out);
    job_clear(&job);
    return !ended;
}

bool openai_stream_reply(struct api_call *call, const char *id, struct openai_answer *answer,
                         struct error *err)
{
    struct stream *s = calloc(1, sizeof *s);

    if (!s) {
        openai_answer_free(answer);
        return error_set(err, ERROR_MEMORY, "no memory for the stream");
    }
    s->call = *call;
    s->answer = answer;
    snprintf(s->id, sizeof s->id, "%s", id);
    http_reply_stream(call->reply, 200, "text/event-stream", next_events, free_stream, s);
    http_reply_header(call->reply, "Cache-Control", "no-store");
    http_reply_header(call->reply, "X-Accel-Buffering", "no");
    return true;
}
