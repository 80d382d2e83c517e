#include "api/api_submit.h"

#include "config/settings.h"
#include "jobs/job_queue.h"
#include "library/library.h"
#include "supervisor/supervisor.h"

#include <stdlib.h>
#include <string.h>

/* So many deaths in a row of an idle worker mean that it cannot be had. */
enum { HOPELESS_RESTARTS = 3 };

struct gen_limits api_submit_limits(const struct api *api)
{
    struct gen_limits l = gen_request_default_limits();

    l.max_side = (int)api->settings->max_side;
    l.max_pixels = api->settings->max_pixels;
    l.max_steps = (int)api->settings->max_steps;
    l.max_batch = (int)api->settings->max_batch;
    return l;
}

static bool has_worker(struct api_call *call, struct error *err)
{
    struct supervisor_status s;

    if (*call->api->stopping)
        return error_set(err, ERROR_BUSY, "the server is being stopped");
    supervisor_status(call->api->supervisor, &s);
    if (s.worker_up || s.worker_pid || s.restarts < HOPELESS_RESTARTS)
        return true;
    return error_set(err, ERROR_BUSY, "the worker cannot be started: %s",
                     s.last_death[0] ? s.last_death : "no reason is known");
}

static bool store(struct api_call *call, char id[JOB_ID_BYTES], const struct api_submission *s,
                  const struct gen_job *job, struct error *err)
{
    char *request = NULL;
    char *wire = s->wire ? json_dumps(s->wire, JSON_COMPACT) : NULL;
    bool ok = (!s->wire || wire || error_set(err, ERROR_MEMORY, "no memory for the job")) &&
              gen_job_write_text(&request, job, err);

    if (ok) {
        struct job_submission j = {
            .family = s->family, .owner = call->owner, .request = request, .wire = wire};
        if (s->image) {
            j.image = s->image->bytes;
            j.image_bytes = s->image->n_bytes;
        }
        if (s->mask) {
            j.mask = s->mask->bytes;
            j.mask_bytes = s->mask->n_bytes;
        }
        ok = job_queue_submit(call->api->queue, id, &j, err);
    }
    free(request);
    free(wire);
    return ok;
}

/* Messages of the canonical reader begin with the field they are about: "steps is ...". */
static const char *field_of(const char *message)
{
    for (const struct gen_job_field *f = gen_job_fields; f->key; f++) {
        const char *at = message;
        size_t object = f->object ? strlen(f->object) : 0, key = strlen(f->key);
        if (object) {
            if (strncmp(at, f->object, object) != 0 || at[object] != '.')
                continue;
            at += object + 1;
        }
        if (strncmp(at, f->key, key) == 0 && (at[key] == ' ' || at[key] == ':'))
            return f->key;
    }
    return NULL;
}

/* Models that are not there are told at once, not by a job that fails. */
static bool knows_models(struct api_call *call, const struct gen_job *job, struct error *err)
{
    const char *const names[][2] = {{"model", job->model}, {"refiner_checkpoint", job->refiner}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct library_entry *e = NULL;
        if (!names[i][1][0])
            continue;
        if (!library_find_sound(call->api->library, LIBRARY_MODEL, names[i][1], &e, err)) {
            call->error_field = names[i][0];
            if (err->code == ERROR_NOT_FOUND)
                call->error_status = 400; /* the request's fault; 404 is for addresses */
            return false;
        }
        library_entry_free(e);
    }
    return true;
}

bool api_submit(struct api_call *call, struct api_submitted *out, const struct api_submission *s,
                struct error *err)
{
    struct gen_limits limits = api_submit_limits(call->api);
    struct gen_job job;

    if (!gen_job_read(&job, s->request, &limits, err)) {
        call->error_field = field_of(err->text);
        return false;
    }
    bool ok = knows_models(call, &job, err) && gen_job_pick_seeds(&job, err) &&
              has_worker(call, err) && store(call, out->id, s, &job, err);
    out->seed = job.seed;
    out->subseed = job.subseed;
    gen_job_clear(&job);
    if (ok)
        supervisor_wake(call->api->supervisor);
    return ok;
}

bool api_submit_cancel(struct api_call *call, const char *id, struct error *err)
{
    return supervisor_cancel(call->api->supervisor, id, NULL, err);
}
