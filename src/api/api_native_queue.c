#include "api/api_native_queue.h"

#include "api/api_native_job.h"
#include "api/api_result.h"
#include "api/api_submit.h"
#include "base/parse.h"
#include "config/settings.h"
#include "jobs/job_queue.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_DEFAULT = 50, PAGE_MAX = 500, OFFSET_MAX = 1000000 };

static bool not_found(struct api_call *call, const char *id, struct error *err)
{
    return api_fail(call, err, 404, NULL, "Job %.80s not found", id);
}

/* The job that the path names; the caller clears it. */
static bool get_job(struct api_call *call, struct job *job, struct error *err)
{
    const char *id = call->argument[0];

    if (!job_id_is_valid(id))
        return not_found(call, id, err);
    if (job_queue_get(call->api->queue, job, id, err))
        return true;
    return err->code == ERROR_NOT_FOUND ? not_found(call, id, err) : false;
}

static bool is_on(const struct api_call *call, const char *name, bool fallback)
{
    char text[16];
    bool on;
    struct error ignored;

    if (!http_request_query(call->request, name, text, sizeof text))
        return fallback;
    if (text[0] == 0)
        return true;
    return parse_bool(&on, text, &ignored) ? on : fallback;
}

bool api_native_queue_get(struct api_call *call, struct error *err)
{
    struct job job = {0};
    struct api_native_job_wish wish = {.picture = is_on(call, "image", true),
                                       .preview = is_on(call, "preview", false),
                                       .request = true};
    json_t *body = NULL;

    bool ok = get_job(call, &job, err) && api_native_job_json(call, &body, &job, &wish, err) &&
              api_reply_json(call, 200, body, err);
    job_clear(&job);
    return ok;
}

/* "queued,processing": names of states, or active (not ended) and final. */
static bool read_states(struct api_call *call, unsigned *out, struct error *err)
{
    char text[128];

    *out = 0;
    if (!http_request_query(call->request, "state", text, sizeof text) || !text[0])
        return true;
    for (char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        bool more = at[len] != 0;
        enum job_state state;
        at[len] = 0;
        if (strcmp(at, "active") == 0)
            *out |= 1u << JOB_QUEUED | 1u << JOB_LOADING | 1u << JOB_PROCESSING;
        else if (strcmp(at, "final") == 0)
            *out |= 1u << JOB_DONE | 1u << JOB_ERROR | 1u << JOB_CANCELLED;
        else if (job_state_find(&state, at))
            *out |= 1u << state;
        else
            return api_fail(call, err, 0, "state",
                            "there is no state '%.40s'; there are queued, loading, processing, "
                            "done, error, cancelled, and active and final for several",
                            at);
        at += len + more;
    }
    return true;
}

static bool read_filter(struct api_call *call, struct job_filter *f, char id_room[JOB_ID_BYTES],
                        struct error *err)
{
    char cursor[JOB_QUEUE_CURSOR_BYTES], limit[16];
    int64_t n = PAGE_DEFAULT;

    *f = (struct job_filter){0};
    if (!read_states(call, &f->states, err))
        return false;
    if (http_request_query(call->request, "limit", limit, sizeof limit) &&
        !parse_int64(&n, limit, 1, PAGE_MAX, err)) {
        call->error_field = "limit";
        return error_prefix(err, "limit");
    }
    f->max_n = (int)n;
    if (http_request_query(call->request, "cursor", cursor, sizeof cursor) && cursor[0] &&
        !job_queue_use_cursor(f, id_room, cursor, err)) {
        call->error_field = "cursor";
        return error_prefix(err, "cursor");
    }
    return true;
}

static bool read_offset(struct api_call *call, int64_t *out, struct error *err)
{
    char text[16];

    if (!http_request_query(call->request, "offset", text, sizeof text) ||
        parse_int64(out, text, 0, OFFSET_MAX, err))
        return true;
    call->error_field = "offset";
    return error_prefix(err, "offset");
}

/* Jobs by state, and those that the filter's states let through. */
static json_t *counts_json(const struct api *api, unsigned states, int64_t *total)
{
    struct job_queue_counts counts = job_queue_counts(api->queue);
    json_t *out = json_object();

    *total = 0;
    for (int s = 0; s < JOB_N_STATES; s++) {
        json_object_set_new(out, job_state_name((enum job_state)s), json_integer(counts.n[s]));
        if (!states || (states & 1u << s))
            *total += counts.n[s];
    }
    return out;
}

/* Moves the filter behind the first `offset` jobs, for clients that turn pages by number. */
static bool skip(struct api_call *call, struct job_filter *f, char id_room[JOB_ID_BYTES],
                 int64_t offset, struct error *err)
{
    struct job_filter step = *f;

    while (offset > 0) {
        struct job_list list = {0};
        char cursor[JOB_QUEUE_CURSOR_BYTES];
        step.max_n = (int)(offset < JOB_STORE_PAGE_MAX ? offset : JOB_STORE_PAGE_MAX);
        if (!job_queue_list(call->api->queue, &list, &step, err))
            return false;
        size_t n = list.n;
        if (n > 0)
            job_queue_cursor(cursor, &list.jobs[n - 1]);
        job_list_clear(&list);
        if (n > 0 && (!job_queue_use_cursor(&step, id_room, cursor, err)))
            return false;
        offset = n < (size_t)step.max_n ? 0 : offset - (int64_t)n;
    }
    f->after_created = step.after_created;
    f->after_id = step.after_id;
    return true;
}

/* Listings of the queue come without requests and results. */
static bool add_job(struct api_call *call, json_t *jobs, const struct job *listed, bool full,
                    struct error *err)
{
    struct api_native_job_wish wish = {.request = full, .brief = true};
    struct job whole = {0};
    json_t *one = NULL;
    struct error gone;

    if (!job_queue_get(call->api->queue, &whole, listed->id, &gone))
        return true; /* removed meanwhile */
    bool ok = api_native_job_json(call, &one, &whole, &wish, err) &&
              (json_array_append_new(jobs, one) == 0 ||
               error_set(err, ERROR_MEMORY, "no memory for the list"));
    job_clear(&whole);
    return ok;
}

bool api_native_queue_list(struct api_call *call, struct error *err)
{
    struct job_list list = {0};
    struct job_filter filter;
    char id_room[JOB_ID_BYTES], cursor[JOB_QUEUE_CURSOR_BYTES];
    bool full = is_on(call, "full", false);
    int64_t offset = 0, total;

    if (!read_filter(call, &filter, id_room, err) || !read_offset(call, &offset, err) ||
        !skip(call, &filter, id_room, offset, err) ||
        !job_queue_list(call->api->queue, &list, &filter, err))
        return false;
    json_t *jobs = json_array(), *body = NULL;
    bool ok = true;
    for (size_t i = 0; i < list.n && ok; i++)
        ok = add_job(call, jobs, &list.jobs[i], full, err);
    if (ok) {
        json_t *counts = counts_json(call->api, filter.states, &total);
        body = json_pack("{s:s, s:O, s:o, s:I, s:n}", "status", "success", "jobs", jobs, "counts",
                         counts, "total", (json_int_t)total, "next_cursor");
        if (body && list.n == (size_t)filter.max_n) {
            job_queue_cursor(cursor, &list.jobs[list.n - 1]);
            json_object_set_new(body, "next_cursor", json_string(cursor));
        }
        ok = api_reply_json(call, 200, body, err);
    }
    json_decref(jobs);
    job_list_clear(&list);
    return ok;
}

bool api_native_queue_delete(struct api_call *call, struct error *err)
{
    struct job job = {0};
    const char *state = "cancelled";
    bool ok = get_job(call, &job, err);

    if (ok && job_is_final(job.state)) {
        ok = job_queue_remove(call->api->queue, job.id, err);
        state = "removed";
    } else if (ok) {
        ok = api_submit_cancel(call, job.id, err);
    }
    if (ok && strcmp(state, "cancelled") == 0) {
        char id[JOB_ID_BYTES];
        memcpy(id, job.id, sizeof id);
        job_clear(&job);
        ok = job_queue_get(call->api->queue, &job, id, err);
        state = !ok || job.state == JOB_CANCELLED ? "cancelled"
                : job_is_final(job.state)         ? job_state_name(job.state)
                                                  : "cancelling";
    }
    if (ok)
        ok = api_reply_json(call, 200,
                            json_pack("{s:s, s:s, s:s}", "status", "success", "job_id",
                                      call->argument[0], "state", state),
                            err);
    job_clear(&job);
    return ok;
}

bool api_native_queue_events(struct api_call *call, struct error *err)
{
    struct job job = {0};
    bool ok = get_job(call, &job, err);

    job_clear(&job);
    return ok && api_native_job_follow(call, call->argument[0], err);
}

/* Sends the file; its name never changes its meaning, so it may be kept. */
static bool send_file(struct api_call *call, const struct job *job, const char *name,
                      struct error *err)
{
    char path[JOB_FILES_PATH_BYTES];
    const char *known = http_request_header(call->request, "If-None-Match");
    char tag[JOB_FILE_NAME_BYTES + 2];
    struct stat st;

    snprintf(tag, sizeof tag, "\"%s\"", name);
    if (known && strcmp(known, tag) == 0) {
        http_reply_empty(call->reply, 304);
        http_reply_header(call->reply, "ETag", "%s", tag);
        return true;
    }
    if (!job_files_output(job_queue_files(call->api->queue), path, job->id, name, err))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        return error_set(err, ERROR_NOT_FOUND, "the picture of job %s is gone", job->id);
    }
    http_reply_file(call->reply, 200, api_result_mime(name), fd, (uint64_t)st.st_size);
    http_reply_header(call->reply, "ETag", "%s", tag);
    http_reply_header(call->reply, "Cache-Control", "private, max-age=86400");
    http_reply_header(call->reply, "X-Content-Type-Options", "nosniff");
    http_reply_header(call->reply, "Content-Disposition", "inline; filename=\"%s\"", name);
    return true;
}

bool api_native_queue_image(struct api_call *call, struct error *err)
{
    struct job job = {0};
    char name[JOB_FILE_NAME_BYTES], number[16] = "";
    int64_t n = 0;
    struct error ignored;

    /* /images/{id}/{n}, or ?n= */
    if (call->argument[1][0])
        snprintf(number, sizeof number, "%.15s", call->argument[1]);
    else if (!http_request_query(call->request, "n", number, sizeof number))
        number[0] = 0;
    if (number[0] && !parse_int64(&n, number, 0, 100000, &ignored))
        return api_fail(call, err, 404, NULL, "there is no picture '%s'", number);
    if (!get_job(call, &job, err))
        return false;
    bool ok = api_result_name(name, &job, (int)n)
                  ? send_file(call, &job, name, err)
                  : api_fail(call, err, 404, NULL, "Job %s has no picture %d: it is %s", job.id,
                             (int)n, job_state_name(job.state));
    job_clear(&job);
    return ok;
}
