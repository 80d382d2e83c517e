#include "app/serve.h"

#include "api/api.h"
#include "api/api_metrics.h"
#include "api/api_wait.h"
#include "api/sdapi_options.h"
#include "app/cli_help.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/thread.h"
#include "generator/generator_library.h"
#include "http/http_auth.h"
#include "http/http_listen.h"
#include "http/http_server.h"
#include "http/http_sign.h"
#include "jobs/job_queue.h"
#include "supervisor/supervisor.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <string.h>
#include <time.h>

enum { PATH_BYTES = 4096, EXPIRE_SECONDS = 60, DAY_SECONDS = 86400 };

/* Everything that is opened; zeroes are closed. */
struct serve {
    struct log log;
    struct api api;
    struct job_queue *queue;
    struct supervisor *supervisor;
    struct library *library;
    struct api_wait *wait;
    struct api_metrics *metrics;
    struct sdapi_options *sdapi_options;
    struct http_auth *auth;
    struct http_sign *sign;
    struct http_server *http;
    _Atomic bool stopping;

    pthread_t keeper; /* removes old jobs now and then */
    bool has_keeper;
    pthread_mutex_t lock;
    pthread_cond_t stop;
};

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (strcmp(names[i], name) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

static bool open_auth(struct serve *s, const struct settings *o, struct error *err)
{
    const struct http_auth_sources from = {.keys = o->api_key,
                                           .keys_file = o->api_key_file,
                                           .users = o->user,
                                           .users_file = o->user_file};
    char key_file[PATH_BYTES];

    if (!http_auth_open(&s->auth, &from, err) || !fs_make_folders(o->data_dir, err) ||
        !fs_join(key_file, sizeof key_file, o->data_dir, "url.key", err) ||
        !http_sign_open(&s->sign, key_file, err))
        return false;
    if (http_auth_is_on(s->auth) || http_listen_is_loopback(o->listen) ||
        o->open_access == TRI_TRUE)
        return true;
    return error_set(
        err, ERROR_INVALID,
        "%s is an address that others reach: set api_key_file or user_file, or, to let "
        "everybody in, open_access true",
        o->listen);
}

static bool open_queue(struct serve *s, const struct settings *o, struct error *err)
{
    const struct job_queue_settings q = {
        .folder = o->data_dir,
        .log = &s->log,
        .max_queued = (int)o->queue_size,
        .max_attempts = (int)o->job_attempts,
        .keep_seconds = (double)(o->keep_days * DAY_SECONDS),
        .keep_jobs = o->keep_jobs,
        .keep_bytes = o->keep_bytes == SETTINGS_BYTES_AUTO ? 0 : (int64_t)o->keep_bytes,
    };
    if (!api_wait_open(&s->wait, err) || !api_metrics_open(&s->metrics, err) ||
        !sdapi_options_open(&s->sdapi_options, err) || !job_queue_open(&s->queue, &q, err))
        return false;
    job_queue_on_change(s->queue, api_wait_changed, s->wait);
    return true;
}

static bool open_http(struct serve *s, const struct settings *o, struct error *err)
{
    const struct http_server_settings h = {
        .listen = o->listen,
        .port = (int)o->port,
        .tls_certificate = o->tls_certificate,
        .tls_key = o->tls_key,
        .max_body_bytes = o->max_body == SETTINGS_BYTES_AUTO ? (size_t)64 << 20 : o->max_body,
        .max_connections = (int)o->max_connections,
        .idle_seconds = (double)o->idle_seconds,
        .request_seconds = (double)o->request_seconds,
        .log = &s->log,
        .ctx = &s->api,
        .begin = api_begin,
        .handle = api_handle,
        .refuse = api_refuse,
        .done = api_done,
    };
    s->api = (struct api){.settings = o,
                          .queue = s->queue,
                          .supervisor = s->supervisor,
                          .library = s->library,
                          .log = &s->log,
                          .wait = s->wait,
                          .metrics = s->metrics,
                          .sdapi_options = s->sdapi_options,
                          .auth = s->auth,
                          .sign = s->sign,
                          .version = cli_help_version(),
                          .data_dir = o->data_dir,
                          .started = clock_seconds(),
                          .stopping = &s->stopping};
    return http_server_open(&s->http, &h, err);
}

static void *keep(void *arg)
{
    struct serve *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        struct timespec until;
        struct error err;
        int removed = 0;

        pthread_mutex_unlock(&s->lock);
        if (!job_queue_expire(s->queue, &removed, &err))
            log_event(&s->log, LOG_WARN, "expire_failed", "reason=\"%.300s\"", err.text);
        else if (removed > 0)
            log_event(&s->log, LOG_INFO, "expired", "jobs=%d", removed);
        pthread_mutex_lock(&s->lock);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += EXPIRE_SECONDS;
        if (!s->stopping)
            pthread_cond_timedwait(&s->stop, &s->lock, &until);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* What the first request needs besides its prompt: the demo model draws best at its own size. */
static void find_size(const struct serve *s, char out[64])
{
    const struct library_entry *model = NULL;
    struct error ignored;

    out[0] = 0;
    if (library_default_model(s->library, &model, &ignored) && model->is_demo)
        snprintf(out, 64, ", \"width\": %d, \"height\": %d", model->native_side,
                 model->native_side);
    library_entry_free(model);
}

static void print_address(const struct serve *s, const struct settings *o, FILE *to)
{
    char size[64];
    bool any = strcmp(o->listen, "0.0.0.0") == 0 || strcmp(o->listen, "::") == 0;
    const char *host = any ? "localhost" : o->listen;
    const char *open = strchr(host, ':') ? "[" : "", *close = *open ? "]" : "";
    const char *scheme = o->tls_certificate[0] ? "https" : "http";
    int port = http_server_port(s->http);

    find_size(s, size);
    fprintf(to,
            "DiffusionAPI %s\n\n  page   %s://%s%s%s:%d/\n  docs   %s://%s%s%s:%d/docs\n\n"
            "  curl%s %s://%s%s%s:%d/txt2img -d '{\"prompt\": \"a red circle on a blue "
            "background\"%s}'\n\nCtrl-C stops it; jobs that wait are kept.\n",
            cli_help_version(), scheme, open, host, close, port, scheme, open, host, close, port,
            http_auth_is_on(s->auth) ? " -H 'Authorization: Bearer KEY'" : "", scheme, open, host,
            close, port, size);
    fflush(to);
}

/* Threads of connections come and go: without a bound each would keep a heap of its own, and large
 * bodies would stay in them. */
static void bound_heaps(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
#endif
}

/* Waiting requests are answered first, then the job is given back; the store goes last. */
static void close_all(struct serve *s, const struct settings *o)
{
    s->stopping = true;
    if (s->http)
        http_server_quiesce(s->http);
    supervisor_stop(s->supervisor, (double)o->stop_seconds); /* who waits for an answer gets one */
    if (s->wait)
        api_wait_stop(s->wait);
    http_server_close(s->http);
    if (s->has_keeper) {
        pthread_mutex_lock(&s->lock);
        pthread_cond_signal(&s->stop);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->keeper, NULL);
    }
    supervisor_close(s->supervisor, (double)o->stop_seconds);
    library_close(s->library);
    job_queue_close(s->queue);
    api_metrics_close(s->metrics);
    api_wait_close(s->wait);
    sdapi_options_close(s->sdapi_options);
    http_sign_close(s->sign);
    http_auth_close(s->auth);
}

static bool open_all(struct serve *s, const struct settings *o, struct error *err)
{
    if (!open_auth(s, o, err) || !open_queue(s, o, err) ||
        !generator_library_open(&s->library, o, err))
        return false;
    const struct supervisor_options w = {.settings = o, .queue = s->queue, .log = &s->log};
    if (!supervisor_open(&s->supervisor, &w, err) || !open_http(s, o, err))
        return false;
    s->has_keeper = thread_start(&s->keeper, keep, s, 256 << 10, err);
    return s->has_keeper;
}

bool serve_run(const struct cli_options *options, FILE *to, struct error *err)
{
    const struct settings *o = &options->settings;
    struct serve s = {0};
    sigset_t ends;
    int number = 0;

    bound_heaps();
    signal(SIGPIPE, SIG_IGN);
    /* Blocked here, they are blocked in every thread that is started, and wait for sigwait. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.stop, NULL);
    log_to_file(&s.log, stderr, level_of(o->log_level), "server");

    bool ok = open_all(&s, o, err);
    if (ok) {
        print_address(&s, o, to);
        log_event(&s.log, LOG_INFO, "listening", "address=%s port=%d", o->listen,
                  http_server_port(s.http));
        sigwait(&ends, &number);
        log_event(&s.log, LOG_INFO, "stopping", "signal=%d", number);
    }
    close_all(&s, o);
    pthread_cond_destroy(&s.stop);
    pthread_mutex_destroy(&s.lock);
    return ok;
}
