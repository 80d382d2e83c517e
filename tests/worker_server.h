/* A queue and a supervisor in a folder of their own, for tests with the real worker. */
#ifndef TESTS_WORKER_SERVER_H
#define TESTS_WORKER_SERVER_H

#include "base/clock.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Enough for all but what has to be refused.  A sanitizer's own memory is in no plan. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define WORKER_SERVER_BUDGET SETTINGS_BYTES_AUTO
#else
#define WORKER_SERVER_BUDGET (100u << 20)
#endif

struct worker_server {
    struct settings settings;
    struct log log;
    struct job_queue *queue;
    struct supervisor *supervisor;
};

static inline void worker_server_pause(double seconds)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)},
              NULL);
}

/* Ends the program where nothing can be tested. */
static inline void worker_server_open(struct worker_server *v, const char *program,
                                      const char *folder, double silence_seconds)
{
    struct settings_origins origins;
    struct error err = {0};

    settings_defaults(&v->settings, &origins);
    v->settings.threads = 1;
    v->settings.memory_budget = WORKER_SERVER_BUDGET;
    char *const folders[] = {v->settings.models_dir, v->settings.loras_dir,
                             v->settings.upscalers_dir, v->settings.embeddings_dir,
                             v->settings.vae_dir};
    static const char *const names[] = {"models", "loras", "upscalers", "embeddings", "vae"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        snprintf(folders[i], SETTINGS_TEXT_BYTES, "%s/%s", folder, names[i]);
    snprintf(v->settings.data_dir, sizeof v->settings.data_dir, "%s", folder);
    snprintf(v->settings.log_level, sizeof v->settings.log_level, "error");
    log_to_file(&v->log, stderr, LOG_ERROR, "server");
    const struct job_queue_settings queue = {
        .folder = folder, .log = &v->log, .max_queued = 1000, .max_attempts = 2};
    struct supervisor_options options = {.settings = &v->settings,
                                         .log = &v->log,
                                         .program = program,
                                         .first_backoff_seconds = 0.02,
                                         .longest_backoff_seconds = 0.2,
                                         .silence_seconds = silence_seconds};
    bool ok = job_queue_open(&v->queue, &queue, &err);
    options.queue = v->queue;
    if (!ok || !supervisor_open(&v->supervisor, &options, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static inline void worker_server_close(struct worker_server *v, double grace_seconds)
{
    supervisor_close(v->supervisor, grace_seconds);
    job_queue_close(v->queue);
}

/* A red circle; size, steps and what else there is to say begin with a comma each. */
#define WORKER_SERVER_SMALL ",\"width\":64,\"height\":64,\"steps\":4"

static inline bool worker_server_submit(struct worker_server *v, char id[JOB_ID_BYTES],
                                        const char *more, const void *image, size_t image_bytes)
{
    char request[400];
    struct error err = {0};

    snprintf(request, sizeof request, "{\"prompt\":\"a red circle\",\"seed\":7%s}", more);
    const bool ok = job_queue_submit(
        v->queue, id,
        &(struct job_submission){
            .family = "native", .request = request, .image = image, .image_bytes = image_bytes},
        &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    supervisor_wake(v->supervisor);
    return ok;
}

/* The job once it is in the state or has ended, or after two and a half minutes as it is.  The
 * caller clears it.
 */
static inline struct job worker_server_wait(struct worker_server *v, const char *id,
                                            enum job_state state)
{
    const double deadline = clock_seconds() + 150;
    struct error err = {0};

    for (;;) {
        struct job j = {0};
        if (!job_queue_get(v->queue, &j, id, &err)) {
            fprintf(stderr, "%s\n", err.text);
            return j;
        }
        if (j.state == state || job_is_final(j.state) || clock_seconds() > deadline) {
            if (j.state != state)
                fprintf(stderr, "%s is %s (%s), not %s\n", id, job_state_name(j.state),
                        j.error_text, job_state_name(state));
            return j;
        }
        job_clear(&j);
        worker_server_pause(0.005);
    }
}

#endif
