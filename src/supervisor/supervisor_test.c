/* The supervisor against processes that behave, fall, hang and lie: this program itself, started
 * again in the role of a worker that does what the prompt of a job says. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/test.h"
#include "base/thread.h"
#include "channel/channel.h"
#include "supervisor/supervisor.h"
#include "supervisor/supervisor_protocol.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The other side. */

static struct channel *channel;

static void say(json_t *doc)
{
    struct error err = {0};
    if (!channel_write(channel, doc, 1000, &err))
        _exit(9);
    json_decref(doc);
}

/* The next line, or NULL after a tenth of a second. */
static bool next(struct json *out, int timeout_ms)
{
    enum channel_got got;
    struct error err = {0};
    bool readable;

    for (;;) {
        if (!channel_read(channel, &got, out, &err) || got == CHANNEL_END)
            _exit(0);
        if (got == CHANNEL_DOCUMENT)
            return true;
        if (!channel_wait(channel, timeout_ms, &readable, &err))
            _exit(9);
        if (!readable)
            return false;
    }
}

static void finish(const json_t *run)
{
    const char *id = supervisor_protocol_text(run, "id");
    char path[4096], name[80];
    struct error err = {0};

    snprintf(name, sizeof name, "%s.0.png", id);
    snprintf(path, sizeof path, "%s/%s", supervisor_protocol_text(run, "outputs"), name);
    if (!fs_write(path, "png", 3, &err))
        _exit(8);
    say(json_pack("{s:s, s:s, s:{s:i}, s:[s]}", "is", "done", "id", id, "result", "images", 1,
                  "outputs", name));
}

static void fail(const json_t *run, const char *code, const char *text)
{
    say(json_pack("{s:s, s:s, s:{s:s, s:s}}", "is", "failed", "id",
                  supervisor_protocol_text(run, "id"), "error", "code", code, "text", text));
}

/* Until something is wanted of the job. */
static void wait_for_wish(const json_t *run)
{
    struct json doc;

    for (int ticks = 0;;) {
        if (!next(&doc, 50)) {
            say(json_pack("{s:s, s:i, s:i, s:s}", "is", "alive", "ticks", ++ticks, "resident_bytes",
                          12345, "model", "fake"));
            continue;
        }
        const char *op = supervisor_protocol_text(doc.root, "op");
        const bool cancel = strcmp(op, "cancel") == 0;
        const bool end = cancel || strcmp(op, "interrupt") == 0;
        json_clear(&doc);
        if (cancel)
            fail(run, "cancelled", "stopped");
        else if (end)
            finish(run);
        if (end)
            return;
    }
}

/* The first time in this folder? */
static bool first_time(const json_t *run)
{
    char path[4096];
    struct stat st;
    struct error err = {0};

    snprintf(path, sizeof path, "%s/been-here", supervisor_protocol_text(run, "outputs"));
    return stat(path, &st) != 0 && fs_write(path, "x", 1, &err);
}

/* Computes for so many tenths of a second and hears nothing. */
static void compute(int tenths)
{
    for (int i = 0; i < tenths; i++) {
        say(json_pack("{s:s, s:i, s:i, s:i, s:s}", "is", "alive", "ticks", 1, "cpu_seconds", i,
                      "resident_bytes", 1, "model", ""));
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

static void leave_behind(const json_t *run, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", supervisor_protocol_text(run, "outputs"), name);
    FILE *f = fopen(path, "w");
    if (f)
        fclose(f);
}

static void act(const json_t *run)
{
    const char *what = supervisor_protocol_text(json_object_get(run, "job"), "prompt");
    const char *id = supervisor_protocol_text(run, "id");

    say(json_pack("{s:s, s:s, s:i, s:s}", "is", "started", "id", id, "reserved_bytes", 777, "model",
                  "fake"));
    say(json_pack("{s:s, s:s, s:s, s:f, s:i, s:i, s:i, s:i, s:f}", "is", "progress", "id", id,
                  "phase", "denoise", "progress", 0.5, "step", 5, "steps", 10, "batch", 1,
                  "batches", 1, "seconds_left", 3.0));
    if (strcmp(what, "die") == 0) /* in the middle of writing */
        leave_behind(run, ".tmp-1-1");
    if (strcmp(what, "die") == 0 || (strcmp(what, "die once") == 0 && first_time(run)))
        kill(getpid(), SIGKILL);
    if (strcmp(what, "exit") == 0)
        _exit(3);
    if (strcmp(what, "garbage") == 0 && write(SUPERVISOR_PROTOCOL_FD, "no json\n", 8) == 8)
        pause();
    if (strcmp(what, "compute") == 0)
        compute(25); /* longer than silence may last */
    if (strcmp(what, "fail") == 0)
        fail(run, "limit", "it is too large");
    else if (strcmp(what, "lie") == 0)
        say(json_pack("{s:s, s:s, s:{}, s:[s]}", "is", "done", "id", id, "result", "outputs",
                      "/etc/passwd"));
    else if (strcmp(what, "wait") == 0)
        wait_for_wish(run);
    else if (strcmp(what, "compute for ever") == 0)
        compute(1 << 20);
    else if (strcmp(what, "hang") == 0)
        for (;;)
            pause();
    else
        finish(run);
}

/* A question that is worked at until nobody wants it any more. */
static void wait_for_drop(json_int_t n)
{
    struct json doc;

    for (;;) {
        if (!next(&doc, 60000))
            _exit(8);
        const bool is_it = strcmp(supervisor_protocol_text(doc.root, "op"), "drop") == 0 &&
                           json_integer_value(json_object_get(doc.root, "n")) == n;
        json_clear(&doc);
        if (is_it)
            return;
    }
}

static void answer(const json_t *ask, const char *role)
{
    static int asked;
    const char *what = supervisor_protocol_text(ask, "what");
    const json_int_t n = json_integer_value(json_object_get(ask, "n"));

    asked++;
    if (json_object_get(json_object_get(ask, "request"), "slow"))
        wait_for_drop(n);

    if (json_object_get(json_object_get(ask, "request"), "die"))
        kill(getpid(), SIGKILL);
    if (json_object_get(json_object_get(ask, "request"), "refuse"))
        say(json_pack("{s:s, s:I, s:{s:s, s:s}}", "is", "answer", "n", n, "error", "code",
                      "not_found", "text", "there is no such model"));
    else
        say(json_pack("{s:s, s:I, s:{s:s, s:s, s:i, s:O*, s:O*}}", "is", "answer", "n", n, "answer",
                      "role", role, "what", what, "asked", asked, "request",
                      json_object_get(ask, "request"), "worker_bytes",
                      json_object_get(ask, "worker_bytes")));
}

static int be_worker(const char *role)
{
    struct error err = {0};
    struct json doc;
    struct settings settings;

    if (!channel_open(&channel, SUPERVISOR_PROTOCOL_FD, &err))
        return 7;
    for (;;) {
        if (!next(&doc, 300)) {
            say(json_pack("{s:s, s:i, s:i, s:s}", "is", "alive", "ticks", 0, "resident_bytes", 0,
                          "model", ""));
            continue;
        }
        const char *op = supervisor_protocol_text(doc.root, "op");
        if (strcmp(op, "settings") == 0) {
            if (!supervisor_protocol_read_settings(&settings, doc.root, &err) ||
                settings.max_steps != 77)
                return 6;
            say(json_pack("{s:s, s:s}", "is", "ready", "confinement", "none"));
        } else if (strcmp(op, "run") == 0) {
            act(doc.root);
        } else if (strcmp(op, "ask") == 0) {
            answer(doc.root, role);
        } else if (strcmp(op, "stop") == 0) {
            _exit(0);
        }
        json_clear(&doc);
    }
}

/* This side. */

struct server {
    char folder[64];
    struct settings settings;
    struct job_queue *queue;
    struct supervisor *supervisor;
};

static const char *own_path;
static const struct supervisor_patience patient = {.timeout_ms = 20000};

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void start(struct server *v)
{
    struct error err = {0};
    struct settings_origins origins;

    settings_defaults(&v->settings, &origins);
    v->settings.max_steps = 77;
    const struct job_queue_settings qs = {
        .folder = v->folder, .max_queued = 100, .max_attempts = 2};
    const struct supervisor_options options = {.settings = &v->settings,
                                               .program = own_path,
                                               .first_backoff_seconds = 0.01,
                                               .silence_seconds = 1,
                                               .planner_idle_seconds = 0.2};
    struct supervisor_options o = options;
    if (!job_queue_open(&v->queue, &qs, &err))
        fprintf(stderr, "%s\n", err.text), exit(1);
    o.queue = v->queue;
    if (!supervisor_open(&v->supervisor, &o, &err))
        fprintf(stderr, "%s\n", err.text), exit(1);
}

static void stop(struct server *v, double grace_seconds)
{
    supervisor_close(v->supervisor, grace_seconds);
    job_queue_close(v->queue);
    v->supervisor = NULL;
    v->queue = NULL;
}

static void open_server(struct server *v)
{
    *v = (struct server){.folder = "/tmp/supervisor_test.XXXXXX"};
    if (!mkdtemp(v->folder))
        exit(1);
    start(v);
}

static void close_server(struct server *v)
{
    char command[128];
    stop(v, 0);
    snprintf(command, sizeof command, "rm -rf %s", v->folder);
    CHECK(system(command) == 0);
}

static void submit(struct server *v, char id[JOB_ID_BYTES], const char *what)
{
    char request[200];
    struct error err = {0};

    snprintf(request, sizeof request, "{\"prompt\":\"%s\"}", what);
    CHECK(job_queue_submit(v->queue, id,
                           &(struct job_submission){.family = "native", .request = request}, &err));
    supervisor_wake(v->supervisor);
}

static struct job get(struct server *v, const char *id)
{
    struct job j = {0};
    struct error err = {0};
    CHECK(job_queue_get(v->queue, &j, id, &err));
    return j;
}

/* Waits for the state, at most half a minute. */
static struct job wait_for(struct server *v, const char *id, enum job_state state)
{
    const double deadline = clock_seconds() + 30;

    for (;;) {
        struct job j = get(v, id);
        if (j.state == state || job_is_final(j.state) || clock_seconds() > deadline) {
            if (j.state != state)
                fprintf(stderr, "%s is %s (%s), not %s\n", id, job_state_name(j.state),
                        j.error_text, job_state_name(state));
            return j;
        }
        job_clear(&j);
        pause_a_little();
    }
}

static void runs_jobs_in_their_order(void)
{
    struct server v;
    char ids[5][JOB_ID_BYTES];

    open_server(&v);
    for (int i = 0; i < 5; i++)
        submit(&v, ids[i], "a cat");
    double last = 0;
    for (int i = 0; i < 5; i++) {
        struct job j = wait_for(&v, ids[i], JOB_DONE);
        CHECK(j.state == JOB_DONE && j.attempts == 1 && j.finished >= last);
        CHECK(j.result && strcmp(j.result, "{\"images\":1}") == 0);
        CHECK(j.outputs && strstr(j.outputs, ".0.png\n"));
        last = j.finished;
        job_clear(&j);
    }
    close_server(&v);
}

/* What one job comes to, by what its worker does. */
static void ends_every_job(void)
{
    static const struct {
        const char *what;
        enum job_state state;
        int attempts;
        const char *code, *says;
    } row[] = {
        {"die once", JOB_DONE, 2, "", ""},
        {"die", JOB_ERROR, 2, "worker_died", "attempt 2 of 2: the worker was ended by signal 9"},
        {"exit", JOB_ERROR, 2, "worker_died", "ended with status 3"},
        {"garbage", JOB_ERROR, 2, "worker_died", "cannot be understood"},
        {"hang", JOB_ERROR, 2, "worker_died", "no sign of life for 1 seconds"},
        {"fail", JOB_ERROR, 1, "limit", "it is too large"},
        {"compute", JOB_DONE, 1, "", ""},
        {"lie", JOB_ERROR, 1, "invalid", "no name of a file of job"},
        {"a dog", JOB_DONE, 1, "", ""},
    };
    struct server v;

    open_server(&v);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char id[JOB_ID_BYTES];
        submit(&v, id, row[i].what);
        struct job j = wait_for(&v, id, row[i].state);
        CHECK(j.state == row[i].state);
        CHECK(j.attempts == row[i].attempts);
        CHECK(strcmp(j.error_code, row[i].code) == 0);
        CHECK(strstr(j.error_text, row[i].says));
        if (!strstr(j.error_text, row[i].says))
            fprintf(stderr, "%s: %s: %s\n", row[i].what, j.error_code, j.error_text);
        job_clear(&j);
    }
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/outputs/.tmp-1-1", v.folder);
    CHECK(stat(path, &st) != 0);
    struct supervisor_status t;
    supervisor_status(v.supervisor, &t);
    CHECK(t.restarts == 9 && !t.job[0] && t.reserved_bytes == 0);
    close_server(&v);
}

static void passes_wishes_on(void)
{
    struct server v;
    char id[JOB_ID_BYTES], later[JOB_ID_BYTES];
    struct error err = {0};
    struct supervisor_status t;
    enum job_queue_cancel how;

    open_server(&v);
    submit(&v, id, "wait");
    struct job j = wait_for(&v, id, JOB_PROCESSING);
    CHECK(j.state == JOB_PROCESSING);
    job_clear(&j);
    submit(&v, later, "a bird");
    do {
        pause_a_little();
        supervisor_status(v.supervisor, &t);
    } while (t.resident_bytes == 0 || t.step == 0);
    CHECK(strcmp(t.job, id) == 0 && t.worker_up && t.worker_pid > 0);
    CHECK(t.step == 5 && t.steps == 10 && t.progress == 0.5 && t.reserved_bytes == 777);
    CHECK(strcmp(t.model, "fake") == 0 && strcmp(t.phase, "denoise") == 0);
    CHECK(!supervisor_interrupt(v.supervisor, later) && !supervisor_skip(v.supervisor, later));
    CHECK(supervisor_cancel(v.supervisor, later, &how, &err) && how == JOB_QUEUE_CANCELLED);
    CHECK(supervisor_cancel(v.supervisor, id, &how, &err) && how == JOB_QUEUE_CANCEL_ASKED);
    j = wait_for(&v, id, JOB_CANCELLED);
    CHECK(j.state == JOB_CANCELLED);
    job_clear(&j);

    submit(&v, id, "wait");
    j = wait_for(&v, id, JOB_PROCESSING);
    job_clear(&j);
    CHECK(supervisor_interrupt(v.supervisor, NULL));
    j = wait_for(&v, id, JOB_DONE);
    CHECK(j.state == JOB_DONE);
    job_clear(&j);
    do { /* the row comes first */
        pause_a_little();
        supervisor_status(v.supervisor, &t);
    } while (t.job[0]);
    CHECK(!supervisor_interrupt(v.supervisor, NULL));

    /* Who does not listen to a cancel is ended, and the job all the same cancelled. */
    submit(&v, id, "compute for ever");
    j = wait_for(&v, id, JOB_PROCESSING);
    job_clear(&j);
    CHECK(supervisor_cancel(v.supervisor, id, &how, &err) && how == JOB_QUEUE_CANCEL_ASKED);
    j = wait_for(&v, id, JOB_CANCELLED);
    CHECK(j.state == JOB_CANCELLED);
    job_clear(&j);
    close_server(&v);
}

static void brings_answers(void)
{
    struct server v;
    json_t *answer, *request = json_pack("{s:i}", "x", 1);
    struct error err = {0};
    struct supervisor_status t;

    open_server(&v);
    CHECK(supervisor_ask(v.supervisor, "plan", request, &answer, &patient, &err));
    CHECK(strcmp(supervisor_protocol_text(answer, "role"), "planner") == 0);
    CHECK(json_equal(json_object_get(answer, "request"), request));
    json_decref(answer);
    CHECK(supervisor_ask(v.supervisor, "memory", NULL, &answer, &patient, &err));
    CHECK(strcmp(supervisor_protocol_text(answer, "role"), "worker") == 0);
    json_decref(answer);
    json_object_set_new(request, "refuse", json_true());
    CHECK(!supervisor_ask(v.supervisor, "plan", request, &answer, &patient, &err));
    CHECK(err.code == ERROR_NOT_FOUND && strcmp(err.text, "there is no such model") == 0);
    json_object_del(request, "refuse");
    CHECK(!supervisor_ask(v.supervisor, "weather", request, &answer, &patient, &err));
    CHECK(err.code == ERROR_INVALID);
    json_object_set_new(request, "die", json_true());
    CHECK(!supervisor_ask(v.supervisor, "plan", request, &answer, &patient, &err));
    CHECK(err.code == ERROR_BUSY && strstr(err.text, "planner was ended by signal 9"));
    json_object_del(request, "die");
    CHECK(supervisor_ask(v.supervisor, "plan", request, &answer, &patient, &err));
    json_decref(answer);
    json_decref(request);

    const double deadline = clock_seconds() + 30; /* it goes when nobody asks */
    do {
        pause_a_little();
        supervisor_status(v.supervisor, &t);
    } while (t.planner_pid && clock_seconds() < deadline);
    CHECK(t.planner_pid == 0 && t.worker_pid > 0);
    close_server(&v);
}

/* One who asks what takes for ever, and goes at last. */
struct asker {
    struct supervisor *supervisor;
    atomic_bool leaves;
    pthread_t thread;
};

static bool has_left(void *ctx)
{
    struct asker *a = ctx;
    return atomic_load(&a->leaves);
}

static void *ask_and_leave(void *asker)
{
    struct asker *a = asker;
    const struct supervisor_patience patience = {60000, has_left, a};
    json_t *answer, *request = json_pack("{s:b}", "slow", 1);
    struct error err = {0};

    CHECK(!supervisor_ask(a->supervisor, "plan", request, &answer, &patience, &err));
    CHECK(err.code == ERROR_CANCELLED && !answer);
    json_decref(request);
    return NULL;
}

static void leave(struct asker *a)
{
    atomic_store(&a->leaves, true);
    pthread_join(a->thread, NULL);
}

/* Two ask and leave: the planner drops the first's question and never hears the second's. */
static void drops_what_nobody_waits_for(void)
{
    struct server v;
    json_t *answer;
    struct error err = {0};
    struct supervisor_status t;

    open_server(&v);
    struct asker first = {.supervisor = v.supervisor}, second = {.supervisor = v.supervisor};
    CHECK(thread_start(&first.thread, ask_and_leave, &first, 0, &err));
    do {
        pause_a_little();
        supervisor_status(v.supervisor, &t);
    } while (!t.planner_pid);
    CHECK(thread_start(&second.thread, ask_and_leave, &second, 0, &err));
    leave(&second);
    leave(&first);
    CHECK(supervisor_ask(v.supervisor, "plan", NULL, &answer, &patient, &err));
    CHECK(json_integer_value(json_object_get(answer, "asked")) <= 2);
    json_decref(answer);

    /* Who loses patience has left as well. */
    json_t *request = json_pack("{s:b}", "slow", 1);
    CHECK(!supervisor_ask(v.supervisor, "plan", request, &answer,
                          &(struct supervisor_patience){.timeout_ms = 300}, &err));
    CHECK(err.code == ERROR_BUSY && strstr(err.text, "no answer within 0.3 seconds"));
    CHECK(supervisor_ask(v.supervisor, "plan", NULL, &answer, &patient, &err));
    json_decref(answer);
    json_decref(request);
    close_server(&v);
}

/* A job that runs when the server stops has not lost an attempt. */
static void gives_back_when_it_stops(void)
{
    struct server v;
    char id[JOB_ID_BYTES];

    open_server(&v);
    submit(&v, id, "wait");
    struct job j = wait_for(&v, id, JOB_PROCESSING);
    job_clear(&j);
    supervisor_close(v.supervisor, 0.2);
    j = get(&v, id);
    CHECK(j.state == JOB_QUEUED && j.attempts == 0);
    job_clear(&j);
    v.supervisor = NULL;
    stop(&v, 0);

    start(&v);
    j = wait_for(&v, id, JOB_PROCESSING);
    CHECK(j.state == JOB_PROCESSING && j.attempts == 1);
    job_clear(&j);
    close_server(&v);
}

static void tries_again_when_nothing_starts(void)
{
    struct server v;
    char id[JOB_ID_BYTES];
    struct supervisor_status t;
    json_t *answer;
    struct error err = {0};
    const char *good = own_path;

    own_path = "/nowhere/diffusionapi";
    open_server(&v);
    submit(&v, id, "a fish");
    CHECK(!supervisor_ask(v.supervisor, "memory", NULL, &answer,
                          &(struct supervisor_patience){.timeout_ms = 100}, &err));
    CHECK(err.code == ERROR_BUSY);
    supervisor_status(v.supervisor, &t);
    CHECK(t.worker_pid == 0 && !t.worker_up);
    struct job j = get(&v, id);
    CHECK(j.state == JOB_QUEUED && j.attempts == 0);
    job_clear(&j);
    own_path = good;
    close_server(&v);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be_worker(argv[argc - 1]);
    own_path = argv[0];
    runs_jobs_in_their_order();
    ends_every_job();
    passes_wishes_on();
    brings_answers();
    drops_what_nobody_waits_for();
    gives_back_when_it_stops();
    tries_again_when_nothing_starts();
    return TEST_END();
}
