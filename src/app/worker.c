#include "app/worker.h"

#include "app/cli_help.h"
#include "app/planner.h"
#include "app/worker_confine.h"
#include "app/worker_engine.h"
#include "base/clock.h"
#include "base/fs.h"
#include "generator/generator_library.h"
#include "memory/process_memory.h"
#include "supervisor/supervisor_protocol.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TELL_MS = 10000, FIRST_LINE_MS = 60000, ALIVE_MS = 1000 };

static const double alive_seconds = 0.9;

struct worker {
    struct settings settings;
    struct log log;
    struct channel *channel;
    struct library *library;
    struct worker_engine *engine;   /* of the role "worker" */
    struct memory_reserve *reserve; /* likewise; NULL: it could not be opened */
    json_int_t question;            /* of the role "planner": the one it is at */
    bool dropped;                   /* nobody waits for its answer */
    char told_model[WORKER_ENGINE_NAME_BYTES];
    double told; /* when it was said that we are alive */
};

/* Ends the process without looking back: there is nobody to tell. */
static void say(struct worker *w, json_t *doc)
{
    struct error err;

    if (!doc || !channel_write(w->channel, doc, TELL_MS, &err))
        _exit(1);
    json_decref(doc);
}

/* The next line; *any is false after timeout_ms without one.  The server's end is ours. */
static bool next(struct worker *w, struct json *out, int timeout_ms, bool *any, struct error *err)
{
    enum channel_got got;

    for (;;) {
        if (!channel_read(w->channel, &got, out, err))
            return false;
        if (got == CHANNEL_END)
            _exit(0);
        *any = got == CHANNEL_DOCUMENT;
        if (*any)
            return true;
        bool readable;
        if (!channel_wait(w->channel, timeout_ms, &readable, err))
            return false;
        if (!readable)
            return true;
    }
}

/* Once a second, and when another model is open. */
static void tell_alive(struct worker *w)
{
    const struct worker_engine_state s = worker_engine_state(w->engine);
    struct process_memory now = {0};
    struct error ignored = {0};

    if (clock_seconds() - w->told < alive_seconds && strcmp(s.model, w->told_model) == 0)
        return;
    (void)!process_memory_read(&now, &ignored);
    w->told = clock_seconds();
    memcpy(w->told_model, s.model, sizeof w->told_model);
    say(w, json_pack("{s:s, s:I, s:I, s:I, s:s}", "is", "alive", "ticks", (json_int_t)s.ticks,
                     "cpu_seconds", (json_int_t)(clock() / CLOCKS_PER_SEC), "resident_bytes",
                     (json_int_t)now.resident_bytes, "model", s.model));
}

static void hear_ask(struct worker *w, const json_t *doc)
{
    const json_int_t n = json_integer_value(json_object_get(doc, "n"));
    const char *what = supervisor_protocol_text(doc, "what");

    if (strcmp(what, "memory") == 0)
        say(w, json_pack("{s:s, s:I, s:o}", "is", "answer", "n", n, "answer",
                         worker_engine_memory(w->engine)));
    else if (strcmp(what, "unload") == 0)
        worker_engine_unload(w->engine, n);
    else
        say(w, json_pack("{s:s, s:I, s:{s:s, s:s}}", "is", "answer", "n", n, "error", "code",
                         "invalid", "text", "the worker does not know this question"));
}

static void hear_run(struct worker *w, const json_t *doc)
{
    struct error err = {0};

    if (!worker_engine_run(w->engine, doc, &err))
        say(w,
            json_pack("{s:s, s:s, s:o}", "is", "failed", "id", supervisor_protocol_text(doc, "id"),
                      "error", supervisor_protocol_error(&err)));
}

static void hear(struct worker *w, const json_t *doc)
{
    static const struct {
        const char *op;
        enum generator_wish wish;
    } wishes[] = {
        {"cancel", GENERATOR_CANCEL}, {"interrupt", GENERATOR_FINISH}, {"skip", GENERATOR_SKIP}};
    const char *op = supervisor_protocol_text(doc, "op");

    if (strcmp(op, "run") == 0)
        hear_run(w, doc);
    else if (strcmp(op, "ask") == 0)
        hear_ask(w, doc);
    else if (strcmp(op, "stop") == 0)
        _exit(0);
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
        if (strcmp(op, wishes[i].op) == 0)
            worker_engine_wish(w->engine, supervisor_protocol_text(doc, "id"), wishes[i].wish);
}

static bool serve_worker(struct worker *w, struct error *err)
{
    struct json doc;
    bool any;

    for (;;) {
        if (!next(w, &doc, ALIVE_MS, &any, err))
            return false;
        if (any) {
            hear(w, doc.root);
            json_clear(&doc);
        }
        tell_alive(w);
    }
}

/* Looks at what has come while a question is worked at: there is no other one among it. */
static bool is_dropped(void *ctx)
{
    struct worker *w = ctx;
    struct json doc;
    struct error err = {0};
    bool any;

    for (;;) {
        if (!next(w, &doc, 0, &any, &err))
            return true; /* serve_planner will see the same */
        if (!any)
            return w->dropped;
        const char *op = supervisor_protocol_text(doc.root, "op");
        if (strcmp(op, "stop") == 0)
            _exit(0);
        if (strcmp(op, "drop") == 0 &&
            json_integer_value(json_object_get(doc.root, "n")) == w->question)
            w->dropped = true;
        json_clear(&doc);
    }
}

static void answer(struct worker *w, const json_t *ask)
{
    const struct planner planner = {
        .settings = &w->settings, .library = w->library, .is_dropped = is_dropped, .ctx = w};

    w->question = json_integer_value(json_object_get(ask, "n"));
    w->dropped = false;
    say(w, planner_answer(&planner, ask));
}

static bool serve_planner(struct worker *w, struct error *err)
{
    struct json doc;
    bool any;

    for (;;) {
        if (!next(w, &doc, -1, &any, err))
            return false;
        if (!any)
            continue;
        const char *op = supervisor_protocol_text(doc.root, "op");
        if (strcmp(op, "stop") == 0)
            _exit(0);
        if (strcmp(op, "ask") == 0)
            answer(w, doc.root);
        json_clear(&doc);
    }
}

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (int i = 0; i < 4; i++)
        if (strcmp(names[i], name) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

/* As the original did.  A folder that came later would stay out of reach. */
static void make_folders(const struct settings *s)
{
    const char *const folders[] = {s->models_dir, s->loras_dir, s->upscalers_dir, s->embeddings_dir,
                                   s->vae_dir};
    struct error ignored;

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (folders[i][0])
            (void)!fs_make_folders(folders[i], &ignored);
}

/* The first line: who we are and how the server is set. */
static bool introduce(struct worker *w, const char *role, struct error *err)
{
    const bool is_worker = strcmp(role, "worker") == 0;
    char confinement[WORKER_CONFINE_TEXT_BYTES];
    struct json doc;
    bool any;

    if (!channel_open(&w->channel, SUPERVISOR_PROTOCOL_FD, err) ||
        !next(w, &doc, FIRST_LINE_MS, &any, err))
        return false;
    bool ok = (any || error_set(err, ERROR_IO, "the server does not say how it is set")) &&
              supervisor_protocol_read_settings(&w->settings, doc.root, err);
    json_clear(&doc);
    if (!ok)
        return false;
    log_to_file(&w->log, stderr, level_of(w->settings.log_level), role);
    /* Labels and hashes lie where nobody may read in a moment. */
    if (!generator_library_open(&w->library, &w->settings, err))
        return false;
    if (is_worker && !memory_reserve_open(&w->reserve, NULL, err)) {
        log_event(&w->log, LOG_WARN, "no_reservations", "why=\"%s\"", err->text);
        w->reserve = NULL;
    }
    make_folders(&w->settings);
    /* Threads inherit what holds for the one that starts them. */
    worker_confine(&w->settings, is_worker, confinement);
    log_event(&w->log, LOG_INFO, "confined", "by=\"%s\"", confinement);
    if (is_worker && !worker_engine_open(&w->engine, &w->settings, w->library, w->reserve,
                                         w->channel, &w->log, cli_help_version(), err))
        return false;
    say(w, json_pack("{s:s, s:s}", "is", "ready", "confinement", confinement));
    return true;
}

bool worker_is_asked_for(int argc, char *const *argv)
{
    return argc == 2 && (strcmp(argv[1], "worker") == 0 || strcmp(argv[1], "planner") == 0);
}

int worker_main(char *const *argv)
{
    static struct worker w; /* settings are large */
    const char *role = argv[1];
    struct error err = {0};
    struct stat st;

    if (fstat(SUPERVISOR_PROTOCOL_FD, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        fprintf(stderr, "diffusionapi: %s is started by `diffusionapi serve` only\n", role);
        return 2;
    }
    worker_confine_early(SUPERVISOR_PROTOCOL_FD);
    if (!introduce(&w, role, &err) ||
        !(strcmp(role, "worker") == 0 ? serve_worker(&w, &err) : serve_planner(&w, &err)))
        fprintf(stderr, "diffusionapi: %s: %s\n", role, err.text);
    _exit(1);
}
