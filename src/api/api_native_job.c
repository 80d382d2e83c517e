#include "api/api_native_job.h"

#include "api/api_event.h"
#include "api/api_result.h"
#include "api/api_wait.h"
#include "config/settings.h"
#include "jobs/job_queue.h"
#include "supervisor/supervisor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Percent with two decimals. */
static double percent(const struct job *job)
{
    return job->state == JOB_DONE ? 100 : round(job->progress * 1e4) / 100;
}

static bool has_hires(const json_t *payload)
{
    return json_is_object(json_object_get(payload, "hires"));
}

/* The original's words; the worker's own stand in `phase`. */
static const char *current_phase(const struct job *job, const json_t *payload)
{
    if (job->state == JOB_DONE)
        return "generation";
    if (job->state != JOB_PROCESSING)
        return job_state_name(job->state);
    if (!has_hires(payload))
        return "generation";
    return (strncmp(job->phase, "hires ", 6) == 0 && strcmp(job->phase, "hires text") != 0) ||
                   strcmp(job->phase, "refine") == 0 || strcmp(job->phase, "vae decode") == 0 ||
                   strcmp(job->phase, "image encode") == 0
               ? "upscaling"
               : "initial generation";
}

static json_t *time_json(double seconds)
{
    return seconds > 0 ? json_real(seconds) : json_null();
}

static bool set_urls(struct api_call *call, json_t *out, const struct job *job, struct error *err)
{
    int n = api_result_count(job);
    json_t *urls = json_array();
    char url[512];

    for (int i = 0; i < n; i++) {
        if (!api_result_url(call, url, sizeof url, job->id, i, false,
                            call->api->settings->url_seconds, err)) {
            json_decref(urls);
            return false;
        }
        json_array_append_new(urls, json_string(url));
    }
    json_object_set_new(out, "image_urls", urls);
    return true;
}

/* Members of the result under the original's names, and those it did not have. */
static void set_result(json_t *out, const json_t *payload, const json_t *result)
{
    static const char *const members[] = {
        "width",    "height",          "file_type",       "generation_time_sec",
        "seed",     "seeds",           "infotexts",       "memory",
        "warnings", "steps",           "model",           "vae",
        "phases",   "requested_width", "requested_height"};
    static const char *const echoed[] = {"denoising_strength", "resize_mode", "resize_to",
                                         "resize_by"};
    const json_t *memory = json_object_get(result, "memory");
    const char *type = json_string_value(json_object_get(result, "file_type"));
    json_t *quality = json_object_get(result, "quality");

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *value = json_object_get(result, members[i]);
        if (value)
            json_object_set(out, members[i], value);
    }
    for (size_t i = 0; i < sizeof echoed / sizeof echoed[0]; i++) {
        json_t *value = json_object_get(payload, echoed[i]);
        if (value)
            json_object_set(out, echoed[i], value);
    }
    json_object_set_new(out, "jpeg_quality",
                        type && strcmp(type, "png") != 0 && quality ? json_incref(quality)
                                                                    : json_null());
    json_t *level = json_object_get(memory, "level");
    json_t *adjusted = json_object_get(memory, "size_adjusted_from");
    json_object_set_new(out, "memory_level", level ? json_incref(level) : json_null());
    json_object_set_new(out, "size_adjusted_from", adjusted ? json_incref(adjusted) : json_null());
}

/* What a row of a list shows of the request, and of the result where there is one. */
static void set_brief(json_t *out, const struct job *job, const json_t *payload,
                      const json_t *result)
{
    static const char *const sides[] = {"width", "height"};

    json_object_set_new(out, "mode", json_string(job->has_image ? "img2img" : "txt2img"));
    json_t *prompt = json_object_get(payload, "prompt");
    json_object_set_new(out, "prompt", prompt ? json_incref(prompt) : json_string(""));
    for (int i = 0; i < 2; i++) {
        json_t *side = json_object_get(result, sides[i]);
        if (!side)
            side = json_object_get(payload, sides[i]);
        json_object_set_new(out, sides[i], side ? json_incref(side) : json_null());
    }
    json_t *type = json_object_get(result, "file_type");
    if (type)
        json_object_set(out, "file_type", type);
}

static const char *error_of(const struct job *job)
{
    if (job->state == JOB_ERROR)
        return job->error_text;
    return job->state == JOB_CANCELLED ? "cancelled" : NULL;
}

static json_t *base_json(struct api_call *call, const struct job *job, const json_t *payload)
{
    int64_t ahead = 0;
    struct error ignored;
    const char *error = error_of(job);
    json_t *out = json_pack(
        "{s:s, s:s, s:f, s:s, s:s, s:s?, s:s?, s:s, s:s, s:i, s:i}", "status", "success", "job_id",
        job->id, "progress", percent(job), "current_phase", current_phase(job, payload), "state",
        job_state_name(job->state), "error", error, "error_code",
        job->error_code[0] && job->state == JOB_ERROR ? job->error_code : NULL, "phase", job->phase,
        "family", job->family, "attempts", job->attempts, "images", api_result_count(job));

    if (!out)
        return NULL;
    json_object_set_new(out, "created", time_json(job->created));
    json_object_set_new(out, "started", time_json(job->started));
    json_object_set_new(out, "finished", time_json(job->finished));
    json_object_set_new(out, "seconds_left",
                        job->state == JOB_PROCESSING && job->seconds_left >= 0
                            ? json_real(job->seconds_left)
                            : json_null());
    if (job->state == JOB_QUEUED && job_queue_ahead(call->api->queue, &ahead, job->id, &ignored))
        json_object_set_new(out, "position", json_integer(ahead + 1));
    if (job->cancel_asked && !job_is_final(job->state))
        json_object_set_new(out, "cancelling", json_true());
    return out;
}

static bool add_details(struct api_call *call, json_t *out, const struct job *job,
                        const struct api_native_job_wish *wish, json_t *payload,
                        const json_t *result, struct error *err)
{
    char name[JOB_FILE_NAME_BYTES], path[JOB_FILE_NAME_BYTES + 16];

    json_object_set(out, "payload", payload);
    if (job->state != JOB_DONE)
        return true;
    set_result(out, payload, result);
    if (api_result_name(name, job, 0)) {
        snprintf(path, sizeof path, "outputs/%s", name);
        json_object_set_new(out, "output_path", json_string(path));
    }
    if (!wish->picture || api_result_count(job) == 0)
        return true;
    json_t *picture = api_result_base64(call, job, 0, err);
    return picture && json_object_set_new_nocheck(out, "image", picture) == 0;
}

bool api_native_job_json(struct api_call *call, json_t **out, const struct job *job,
                         const struct api_native_job_wish *wish, struct error *err)
{
    json_t *payload = job->wire ? json_loads(job->wire, 0, NULL) : NULL;
    json_t *result = api_result_json(job);

    *out = base_json(call, job, payload);
    bool ok = *out != NULL || error_set(err, ERROR_MEMORY, "no memory for the answer");
    if (ok && job->state == JOB_DONE)
        ok = set_urls(call, *out, job, err);
    if (ok && wish->brief)
        set_brief(*out, job, payload, result);
    if (ok && wish->request)
        ok = add_details(call, *out, job, wish, payload, result, err);
    if (ok && wish->preview) {
        json_t *preview = api_result_preview(call, job);
        json_object_set_new(*out, "preview", preview ? preview : json_null());
    }
    json_decref(payload);
    json_decref(result);
    if (!ok) {
        json_decref(*out);
        *out = NULL;
    }
    return ok;
}

/* The stream of events. */

enum { KEEP_ALIVE_SECONDS = 10 };

struct follow {
    struct api_call call; /* a copy: the original ends with the handler */
    char id[JOB_ID_BYTES];
    uint64_t mark;
    bool begun;
    enum job_state state;
    int64_t ahead;
    json_t *last_preview;
};

static void free_follow(void *ctx)
{
    struct follow *f = ctx;
    json_decref(f->last_preview);
    free(f);
}

static json_t *progress_json(struct follow *f, const struct job *job)
{
    struct supervisor_status s;
    json_t *out =
        json_pack("{s:s, s:s, s:f, s:s}", "job_id", job->id, "state", job_state_name(job->state),
                  "progress", percent(job), "phase", job->phase);

    json_object_set_new(out, "seconds_left",
                        job->seconds_left >= 0 ? json_real(job->seconds_left) : json_null());
    supervisor_status(f->call.api->supervisor, &s);
    if (strcmp(s.job, job->id) == 0 && s.steps > 0) {
        json_object_set_new(out, "step", json_integer(s.step));
        json_object_set_new(out, "steps", json_integer(s.steps));
        json_object_set_new(out, "batch", json_integer(s.batch));
        json_object_set_new(out, "batches", json_integer(s.batches));
    }
    return out;
}

/* A preview is a file that is replaced: another picture under the same name is a new one. */
static void add_preview(struct follow *f, const struct job *job, struct buf *out)
{
    json_t *picture = job->preview[0] ? api_result_preview(&f->call, job) : NULL;

    if (!picture)
        return;
    if (f->last_preview && json_equal(f->last_preview, picture)) {
        json_decref(picture);
        return;
    }
    api_event_add(out, "preview",
                  json_pack("{s:s, s:s, s:f, s:o}", "job_id", job->id, "state",
                            job_state_name(job->state), "progress", percent(job), "preview",
                            json_sprintf("data:%s;base64,%s", api_result_mime(job->preview),
                                         json_string_value(picture))));
    json_decref(f->last_preview);
    f->last_preview = picture;
}

static void add_state(struct follow *f, const struct job *job, struct buf *out)
{
    int64_t ahead = 0;
    struct error ignored;

    if (job->state == JOB_QUEUED)
        (void)!job_queue_ahead(f->call.api->queue, &ahead, job->id, &ignored);
    if (f->begun && f->state == job->state && f->ahead == ahead)
        return;
    f->begun = true;
    f->state = job->state;
    f->ahead = ahead;
    api_event_add(out, "state",
                  json_pack("{s:s, s:s, s:I}", "job_id", job->id, "state",
                            job_state_name(job->state), "position",
                            (json_int_t)(job->state == JOB_QUEUED ? ahead + 1 : 0)));
}

static void add_end(struct follow *f, const struct job *job, struct buf *out)
{
    struct api_native_job_wish wish = {.request = true};
    json_t *body = NULL;
    struct error err;

    if (!api_native_job_json(&f->call, &body, job, &wish, &err))
        body = json_pack("{s:s, s:s}", "status", "error", "detail", err.text);
    api_event_add(out, "end", body);
}

/* No pause of its own: progress comes at most ten times a second (app/worker_engine), and the end
 * must not wait. */
static bool next_events(void *ctx, const struct http_request *r, struct buf *out)
{
    struct follow *f = ctx;
    struct job job = {0};
    struct error err;
    enum api_wait_end woke = API_WAIT_ENDED;

    f->call.request = r;
    if (f->begun) {
        woke = api_wait_for_change(f->call.api->wait, r, f->id, f->mark, KEEP_ALIVE_SECONDS);
        if (woke == API_WAIT_CLIENT_GONE || woke == API_WAIT_STOPPING)
            return false;
    }
    f->mark = api_wait_mark(f->call.api->wait);
    if (!job_queue_get(f->call.api->queue, &job, f->id, &err)) {
        api_event_add(
            out, "end",
            json_pack("{s:s, s:s, s:s}", "job_id", f->id, "state", "removed", "error", err.text));
        return false;
    }
    if (woke == API_WAIT_TIME)
        buf_add(out, ": keep-alive\n\n", 14);
    add_state(f, &job, out);
    bool ended = job_is_final(job.state);
    if (ended) {
        add_end(f, &job, out);
    } else if (job.state == JOB_PROCESSING) {
        api_event_add(out, "progress", progress_json(f, &job));
        add_preview(f, &job, out);
    }
    job_clear(&job);
    return !ended;
}

bool api_native_job_follow(struct api_call *call, const char *id, struct error *err)
{
    struct follow *f = calloc(1, sizeof *f);

    if (!f)
        return error_set(err, ERROR_MEMORY, "no memory for the stream");
    f->call = *call;
    snprintf(f->id, sizeof f->id, "%s", id);
    http_reply_stream(call->reply, 200, "text/event-stream", next_events, free_follow, f);
    http_reply_header(call->reply, "Cache-Control", "no-store");
    /* nginx would hold events back until its buffer is full. */
    http_reply_header(call->reply, "X-Accel-Buffering", "no");
    return true;
}
