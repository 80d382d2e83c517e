#include "api/sdapi_control.h"

#include "api/api_result.h"
#include "jobs/job_queue.h"
#include "supervisor/supervisor.h"

#include <string.h>
#include <strings.h>
#include <time.h>

enum { LOOKED_AT = 50 }; /* unfinished jobs of a caller, the newest first */

/* What is told of a caller's jobs. */
struct state {
    bool runs, waits;
    struct job job; /* where it runs */
    struct supervisor_status now;
    int job_count, job_no;
};

static bool is_mine(const struct api_call *call, const struct job *j)
{
    return strcmp(j->family, "sdapi") == 0 && strcmp(j->owner, call->owner) == 0;
}

/* The job that runs, where it is one of the caller's; the caller clears *job either way. */
static bool find_running(struct api_call *call, struct job *job, struct supervisor_status *now)
{
    struct error ignored;

    supervisor_status(call->api->supervisor, now);
    return now->job[0] && job_queue_get(call->api->queue, job, now->job, &ignored) &&
           !job_is_final(job->state) && is_mine(call, job);
}

static bool has_unfinished(struct api_call *call)
{
    const struct job_filter f = {.states =
                                     1u << JOB_QUEUED | 1u << JOB_LOADING | 1u << JOB_PROCESSING,
                                 .owner = call->owner,
                                 .max_n = LOOKED_AT};
    struct job_queue_counts counts = job_queue_counts(call->api->queue);
    struct job_list list = {0};
    struct error ignored;
    bool any = false;

    if (counts.n[JOB_QUEUED] + counts.n[JOB_LOADING] + counts.n[JOB_PROCESSING] == 0 ||
        !job_queue_list(call->api->queue, &list, &f, &ignored))
        return false;
    for (size_t i = 0; i < list.n; i++)
        any = any || is_mine(call, &list.jobs[i]);
    job_list_clear(&list);
    return any;
}

/* A second pass counts as a job of its own. */
static void count_jobs(struct state *s)
{
    json_t *request = s->job.request ? json_loads(s->job.request, 0, NULL) : NULL;
    const json_t *n_iter = json_object_get(request, "n_iter");
    const json_t *hires = json_object_get(request, "hires");
    int rounds = json_is_integer(n_iter) ? (int)json_integer_value(n_iter) : 1;
    int passes = json_is_true(json_object_get(hires, "enabled")) ? 2 : 1;

    s->job_count = rounds * passes;
    s->job_no = s->now.batch > 0 ? (s->now.batch - 1) * passes : 0;
    json_decref(request);
}

static bool look(struct api_call *call, struct state *s)
{
    s->runs = find_running(call, &s->job, &s->now);
    if (s->runs)
        count_jobs(s);
    else
        s->waits = has_unfinished(call);
    if (s->waits)
        s->job_count = 1;
    return s->runs;
}

static double progress_of(const struct state *s)
{
    if (!s->runs)
        return 0;
    return s->job.progress < 0.01 ? 0.01 : s->job.progress > 1 ? 1 : s->job.progress;
}

static json_t *state_json(const struct state *s)
{
    char at[24] = "0";
    time_t started = (time_t)s->job.started;
    struct tm local;

    if (s->runs && s->job.started > 0 && localtime_r(&started, &local))
        strftime(at, sizeof at, "%Y%m%d%H%M%S", &local);
    return json_pack("{s:b, s:b, s:b, s:s, s:i, s:s, s:i, s:i, s:i}", "skipped", 0, "interrupted",
                     0, "stopping_generation", 0, "job",
                     s->runs    ? "scripts_txt2img"
                     : s->waits ? "waits for its turn"
                                : "",
                     "job_count", s->job_count, "job_timestamp", at, "job_no", s->job_no,
                     "sampling_step", s->runs ? s->now.step : 0, "sampling_steps",
                     s->runs ? s->now.steps : 0);
}

static bool wants_image(const struct api_call *call)
{
    char text[8] = "";

    return !http_request_query(call->request, "skip_current_image", text, sizeof text) ||
           (strcasecmp(text, "true") != 0 && strcmp(text, "1") != 0);
}

bool sdapi_control_progress(struct api_call *call, struct error *err)
{
    struct state s = {0};
    json_t *image = NULL;

    if (look(call, &s) && wants_image(call))
        image = api_result_preview(call, &s.job);
    double left = s.runs && s.job.seconds_left > 0 ? s.job.seconds_left : 0;
    json_t *body =
        json_pack("{s:f, s:f, s:o, s:o, s:n, s:o}", "progress", progress_of(&s), "eta_relative",
                  left, "state", state_json(&s), "current_image", image ? image : json_null(),
                  "textinfo", "current_task", s.runs ? json_string(s.job.id) : json_null());
    job_clear(&s.job);
    return api_reply_json(call, 200, body, err);
}

static void stop(struct api_call *call, bool (*how)(struct supervisor *s, const char *id))
{
    struct supervisor_status now;
    struct job job = {0};

    if (find_running(call, &job, &now))
        how(call->api->supervisor, job.id);
    job_clear(&job);
}

bool sdapi_control_interrupt(struct api_call *call, struct error *err)
{
    stop(call, supervisor_interrupt);
    return api_reply_json(call, 200, json_object(), err);
}

bool sdapi_control_skip(struct api_call *call, struct error *err)
{
    stop(call, supervisor_skip);
    return api_reply_json(call, 200, json_null(), err);
}
