#include "app/worker_engine.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/thread.h"
#include "generator/generator_request.h"
#include "image/image_format.h"
#include "memory/process_memory.h"
#include "supervisor/supervisor_protocol.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    TELL_MS = 10000,
    STACK_BYTES = 1 << 20,
    MAX_UNLOADS = 16,
    ID_BYTES = 64,
    LOOK_SECONDS = 5, /* between looks at an idle model */
};

static const double progress_seconds = 0.1;

struct worker_engine {
    const struct settings *settings;
    struct channel *channel;
    const struct log *log;
    struct generator *generator; /* the thread's */
    _Atomic int wish;            /* enum generator_wish */
    _Atomic uint64_t ticks;

    pthread_mutex_t lock;
    pthread_cond_t work;
    /* Guarded by lock. */
    json_t *run; /* owned; the job that waits or runs */
    char id[ID_BYTES];
    json_int_t unloads[MAX_UNLOADS]; /* questions to answer when it is done */
    int n_unloads;
    uint64_t reserved_bytes;
    char model[WORKER_ENGINE_NAME_BYTES];
};

/* One job on its way; the thread's. */
struct course {
    struct worker_engine *engine;
    const char *id, *outputs;
    const struct gen_job *job;
    json_t *names; /* owned; of the files written */
    enum plan_phase phase;
    double told;                 /* when progress was */
    char preview[ID_BYTES + 16]; /* its file's name; "": none yet */
};

/* A server that does not listen is gone, and so are we. */
static void say(struct worker_engine *e, json_t *doc)
{
    struct error err = {0};

    if (!doc || !channel_write(e->channel, doc, TELL_MS, &err)) {
        log_event(e->log, LOG_ERROR, "worker_unheard", "reason=\"%.300s\"", err.text);
        _exit(1);
    }
    json_decref(doc);
}

static bool path_of(void *ctx, char out[GENERATOR_PATH_BYTES], int i, struct error *err)
{
    const struct course *c = ctx;
    char name[ID_BYTES + 32];

    snprintf(name, sizeof name, "%s.%d.%s", c->id, i, gen_job_file_types[c->job->file_type]);
    return fs_join(out, GENERATOR_PATH_BYTES, c->outputs, name, err);
}

static void note_saved(void *ctx, int i, const char *path, uint64_t seed)
{
    struct course *c = ctx;
    const char *slash = strrchr(path, '/');

    (void)i;
    (void)seed;
    json_array_append_new(c->names, json_string(slash ? slash + 1 : path));
}

static enum generator_wish wish_of(void *ctx)
{
    struct course *c = ctx;
    const int wish = atomic_load(&c->engine->wish);

    atomic_fetch_add(&c->engine->ticks, 1);
    /* A batch is skipped once. */
    if (wish == GENERATOR_SKIP) {
        int expected = GENERATOR_SKIP;
        atomic_compare_exchange_strong(&c->engine->wish, &expected, GENERATOR_GO_ON);
    }
    return (enum generator_wish)wish;
}

/* Waiting moves, too: the server would take the process for hung. */
static bool stop_waiting(void *ctx)
{
    struct worker_engine *e = ctx;

    atomic_fetch_add(&e->ticks, 1);
    return atomic_load(&e->wish) == GENERATOR_CANCEL;
}

static void tell_progress(void *ctx, const struct generator_progress *p)
{
    struct course *c = ctx;
    const double now = clock_seconds();
    const bool is_new = c->told == 0 || p->phase != c->phase;

    if (!is_new && now - c->told < progress_seconds)
        return;
    c->told = now;
    c->phase = p->phase;
    json_t *doc =
        json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:i, s:i}", "is", "progress", "id", c->id,
                  "phase", p->phase_name, "progress", p->progress, "seconds_left", p->seconds_left,
                  "step", p->step, "steps", p->steps, "batch", p->batch, "batches", p->batches);
    if (doc && c->preview[0])
        json_object_set_new(doc, "preview", json_string(c->preview));
    say(c->engine, doc);
}

static bool write_preview(void *ctx, const struct image *small, struct error *err)
{
    struct course *c = ctx;
    char path[GENERATOR_PATH_BYTES], name[sizeof c->preview];

    snprintf(name, sizeof name, "%s.preview.png", c->id);
    if (!fs_join(path, sizeof path, c->outputs, name, err) ||
        !image_format_save(path, small, &(struct image_write_options){.quality = 85}, err))
        return false;
    memcpy(c->preview, name, sizeof c->preview);
    c->told = 0; /* the next report tells of it */
    return true;
}

/* What is open and set aside now, for whoever asks from the other thread. */
static void publish(struct worker_engine *e)
{
    const struct generator_view v = generator_view(e->generator);

    pthread_mutex_lock(&e->lock);
    snprintf(e->model, sizeof e->model, "%s", v.model ? v.model_name : "");
    e->reserved_bytes = e->run ? v.reserved_bytes : 0;
    pthread_mutex_unlock(&e->lock);
}

static void tell_started(struct course *c)
{
    const struct generator_view v = generator_view(c->engine->generator);

    publish(c->engine);
    say(c->engine, json_pack("{s:s, s:s, s:I, s:s}", "is", "started", "id", c->id, "reserved_bytes",
                             (json_int_t)v.reserved_bytes, "model", v.model ? v.model_name : ""));
}

static bool make(struct course *c, const json_t *run, struct generator_result *result,
                 struct error *err)
{
    struct worker_engine *e = c->engine;
    const char *input = json_string_value(json_object_get(run, "input"));
    const char *mask = json_string_value(json_object_get(run, "mask"));
    const struct generator_task task = {
        .job = c->job, .input = input, .mask = mask, .path = path_of, .path_ctx = c, .log = e->log};
    const struct generator_watch watch = {.ctx = c,
                                          .progress = tell_progress,
                                          .wish = wish_of,
                                          .saved = note_saved,
                                          .preview = write_preview};

    if (!generator_prepare(e->generator, &task, err))
        return false;
    atomic_fetch_add(&e->ticks, 1);
    tell_started(c);
    return generator_run(e->generator, &watch, result, err);
}

/* Returns what is to be said when the job is forgotten: the server may hand over the next one as
 * soon as it hears of this one's end. */
static json_t *run_job(struct worker_engine *e, const json_t *run)
{
    const struct gen_limits limits = generator_request_limits(e->settings);
    struct course c = {.engine = e,
                       .id = supervisor_protocol_text(run, "id"),
                       .outputs = supervisor_protocol_text(run, "outputs"),
                       .names = json_array()};
    struct generator_result result = {0};
    struct gen_job job;
    struct error err = {0};

    bool ok = gen_job_read(&job, json_object_get(run, "job"), &limits, &err) &&
              gen_job_pick_seeds(&job, &err);
    c.job = &job;
    ok = ok && make(&c, run, &result, &err);
    json_t *last = ok ? json_pack("{s:s, s:s, s:O, s:O}", "is", "done", "id", c.id, "result",
                                  result.json, "outputs", c.names)
                      : json_pack("{s:s, s:s, s:o}", "is", "failed", "id", c.id, "error",
                                  supervisor_protocol_error(&err));
    generator_result_clear(&result);
    gen_job_clear(&job);
    json_decref(c.names);
    return last;
}

static void answer_unloads(struct worker_engine *e)
{
    json_int_t n[MAX_UNLOADS];

    pthread_mutex_lock(&e->lock);
    const int count = e->n_unloads;
    memcpy(n, e->unloads, sizeof n);
    e->n_unloads = 0;
    pthread_mutex_unlock(&e->lock);
    if (count == 0)
        return;
    generator_unload(e->generator);
    publish(e);
    for (int i = 0; i < count; i++)
        say(e, json_pack("{s:s, s:I, s:o}", "is", "answer", "n", n[i], "answer",
                         worker_engine_memory(e)));
}

/* Until there is work; looks at the idle model now and then, where there is one. */
static const json_t *wait_for_work(struct worker_engine *e)
{
    struct timespec until;

    pthread_mutex_lock(&e->lock);
    if (!e->run && e->n_unloads == 0 && e->model[0]) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_SECONDS;
        pthread_cond_timedwait(&e->work, &e->lock, &until);
    } else {
        while (!e->run && e->n_unloads == 0)
            pthread_cond_wait(&e->work, &e->lock);
    }
    const json_t *run = e->run;
    pthread_mutex_unlock(&e->lock);
    return run;
}

static void forget_job(struct worker_engine *e)
{
    pthread_mutex_lock(&e->lock);
    json_decref(e->run);
    e->run = NULL;
    e->id[0] = 0;
    pthread_mutex_unlock(&e->lock);
}

static void *work(void *engine)
{
    struct worker_engine *e = engine;

    for (;;) {
        const json_t *run = wait_for_work(e);
        if (run) {
            json_t *last = run_job(e, run);
            generator_forget(e->generator);
            forget_job(e);
            say(e, last);
            publish(e);
        } else if (generator_idle(e->generator)) {
            log_event(e->log, LOG_INFO, "model_unloaded", "reason=idle_or_pressure");
            publish(e);
        }
        answer_unloads(e);
    }
    return NULL;
}

bool worker_engine_open(struct worker_engine **out, const struct settings *s,
                        struct library *library, struct memory_reserve *reserve, struct channel *c,
                        const struct log *log, const char *version, struct error *err)
{
    struct worker_engine *e = calloc(1, sizeof *e);
    const struct generator_options options = {.settings = s,
                                              .version = version,
                                              .library = library,
                                              .reserve = reserve,
                                              .stop_waiting = stop_waiting,
                                              .stop_ctx = e};
    pthread_t thread;

    if (!e)
        return error_set(err, ERROR_MEMORY, "no memory for an engine");
    e->settings = s;
    e->channel = c;
    e->log = log;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    *out = e;
    return generator_open(&e->generator, &options, err) &&
           thread_start(&thread, work, e, STACK_BYTES, err);
}

bool worker_engine_run(struct worker_engine *e, const json_t *run, struct error *err)
{
    /* The thread gets a copy: reference counts may not be shared. */
    json_t *mine = json_deep_copy(run);
    bool ok = mine || error_set(err, ERROR_MEMORY, "no memory for a job");

    pthread_mutex_lock(&e->lock);
    if (ok && e->run)
        ok = error_set(err, ERROR_BUSY, "another job runs");
    if (ok) {
        e->run = mine;
        mine = NULL;
        snprintf(e->id, sizeof e->id, "%s", supervisor_protocol_text(run, "id"));
        atomic_store(&e->wish, GENERATOR_GO_ON);
        pthread_cond_signal(&e->work);
    }
    pthread_mutex_unlock(&e->lock);
    json_decref(mine);
    return ok;
}

void worker_engine_wish(struct worker_engine *e, const char *id, enum generator_wish wish)
{
    pthread_mutex_lock(&e->lock);
    /* Nothing takes a cancel back. */
    if (e->run && strcmp(id, e->id) == 0 && atomic_load(&e->wish) != GENERATOR_CANCEL)
        atomic_store(&e->wish, (int)wish);
    pthread_mutex_unlock(&e->lock);
}

void worker_engine_unload(struct worker_engine *e, json_int_t n)
{
    pthread_mutex_lock(&e->lock);
    const bool has_room = e->n_unloads < MAX_UNLOADS;
    if (has_room)
        e->unloads[e->n_unloads++] = n;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
    if (!has_room)
        say(e, json_pack("{s:s, s:I, s:{s:s, s:s}}", "is", "answer", "n", n, "error", "code",
                         "busy", "text", "too many wait for models to leave memory"));
}

struct worker_engine_state worker_engine_state(struct worker_engine *e)
{
    struct worker_engine_state s = {.ticks = atomic_load(&e->ticks)};

    pthread_mutex_lock(&e->lock);
    s.busy = e->run != NULL;
    s.reserved_bytes = e->reserved_bytes;
    memcpy(s.model, e->model, sizeof s.model);
    pthread_mutex_unlock(&e->lock);
    return s;
}

json_t *worker_engine_memory(struct worker_engine *e)
{
    const struct worker_engine_state s = worker_engine_state(e);
    struct process_memory now = {0};
    struct error ignored = {0};

    (void)!process_memory_read(&now, &ignored);
    return json_pack("{s:I, s:I, s:o, s:I}", "resident_bytes", (json_int_t)now.resident_bytes,
                     "peak_bytes", (json_int_t)now.peak_bytes, "model",
                     s.model[0] ? json_string(s.model) : json_null(), "reserved_bytes",
                     (json_int_t)s.reserved_bytes);
}
