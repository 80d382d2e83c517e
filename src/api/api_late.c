#include "api/api_late.h"

#include "api/api_error.h"
#include "api/api_submit.h"
#include "api/api_wait.h"
#include "config/settings.h"
#include "jobs/job_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLANK_SECONDS = 10 };

/* A wait that outlived its handler. */
struct waiting {
    struct api_call call; /* a copy, with a request that changes with each piece */
    struct api_late late;
    char id[JOB_ID_BYTES];
    enum api_family family;
};

bool api_late_error(const struct job *job, struct error *err)
{
    if (job->state == JOB_CANCELLED)
        return error_set(err, ERROR_CANCELLED, "the job was cancelled");
    return error_set(err, error_code_find(job->error_code), "%s",
                     job->error_text[0] ? job->error_text : "the job failed");
}

static void free_waiting(void *ctx)
{
    struct waiting *w = ctx;
    if (w->late.free_ctx)
        w->late.free_ctx(w->late.ctx);
    free(w);
}

/* The document at the end of the wait: the answer, or an error in the family's shape. */
static void add_document(struct waiting *w, const struct job *job, struct buf *out)
{
    struct error err = {0};
    json_t *body = NULL;

    if (job->state == JOB_DONE)
        body = w->late.answer(w->late.ctx, &w->call, job, &err);
    else
        api_late_error(job, &err);
    char *text =
        body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(body);
    if (text) {
        buf_add(out, text, strlen(text));
        free(text);
        return;
    }
    struct http_reply reply = {0};
    const struct api_error e = {.status = api_error_status(w->family, err.code),
                                .code = err.code,
                                .text = err.text[0] ? err.text : "no memory for the answer"};
    api_error_reply(&reply, w->family, &e);
    if (!reply.failed)
        buf_add(out, reply.bytes, reply.n_bytes);
    http_reply_clear(&reply);
}

static void cancel(struct waiting *w)
{
    struct error ignored;
    (void)!api_submit_cancel(&w->call, w->id, &ignored);
}

static bool next_piece(void *ctx, const struct http_request *r, struct buf *out)
{
    struct waiting *w = ctx;
    struct job job = {0};
    struct error err;
    enum api_wait_end end;

    w->call.request = r;
    if (!api_wait_for_end(&w->call, &end, &job, w->id, BLANK_SECONDS, &err)) {
        job.state = JOB_ERROR;
        job_set_text(job.error_code, sizeof job.error_code, error_code_name(err.code));
        job_set_text(job.error_text, sizeof job.error_text, err.text);
        end = API_WAIT_ENDED;
    }
    bool more = false;
    if (end == API_WAIT_ENDED) {
        add_document(w, &job, out);
    } else if (end == API_WAIT_TIME) {
        buf_add(out, " ", 1);
        more = true;
    } else if (end == API_WAIT_CLIENT_GONE) {
        cancel(w);
    }
    job_clear(&job);
    return more;
}

static bool begin_stream(struct api_call *call, struct waiting *w)
{
    http_reply_stream(call->reply, 200, "application/json", next_piece, free_waiting, w);
    http_reply_header(call->reply, "X-Accel-Buffering", "no");
    return true;
}

/* What became of the wait within the handler; w is freed, or belongs to the stream. */
static bool finish(struct api_call *call, struct waiting *w, enum api_wait_end end,
                   const struct job *job, struct error *err)
{
    bool ok = false;

    if (end == API_WAIT_TIME)
        return begin_stream(call, w);
    if (end == API_WAIT_CLIENT_GONE) {
        cancel(w);
        call->error_status = 499;
        error_set(err, ERROR_CANCELLED, "the client has left");
    } else if (end == API_WAIT_STOPPING) {
        error_set(err, ERROR_BUSY, "the server is being stopped; job %s goes on at its next start",
                  w->id);
    } else if (job->state == JOB_DONE) {
        json_t *body = w->late.answer(w->late.ctx, call, job, err);
        ok = body && api_reply_json(call, 200, body, err);
    } else {
        api_late_error(job, err);
    }
    free_waiting(w);
    return ok;
}

bool api_late_reply(struct api_call *call, const char *id, const struct api_late *late,
                    struct error *err)
{
    int64_t patience = call->api->settings->late_answer_seconds;
    struct waiting *w = calloc(1, sizeof *w);
    struct job job = {0};
    enum api_wait_end end;

    if (!w) {
        if (late->free_ctx)
            late->free_ctx(late->ctx);
        return error_set(err, ERROR_MEMORY, "no memory to wait for the job");
    }
    *w = (struct waiting){.call = *call, .late = *late};
    w->family = api_error_family_of_path(call->request->path);
    snprintf(w->id, sizeof w->id, "%s", id);

    bool ok = api_wait_for_end(call, &end, &job, id, patience > 0 ? (double)patience : -1, err);
    if (ok)
        ok = finish(call, w, end, &job, err);
    else
        free_waiting(w);
    job_clear(&job);
    return ok;
}
