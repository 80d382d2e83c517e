/* Planned against measured memory, over a grid of requests: what the files of memory-sweep share.
 *
 * Each row of the grid runs in a fresh process, so that its peak is its own.  A row travels to that
 * process as text, its outcome comes back as one JSON object. */
#ifndef TOOLS_MEMORY_SWEEP_H
#define TOOLS_MEMORY_SWEEP_H

#include "memory/memory_policy.h"
#include "pipeline/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    MEMORY_SWEEP_ROW_BYTES = 1200,
    MEMORY_SWEEP_LEVERS_BYTES = 200,
    MEMORY_SWEEP_LORAS = 4,
    MEMORY_SWEEP_PATH_BYTES = 200
};

struct sweep_lora {
    char path[MEMORY_SWEEP_PATH_BYTES];
    double scale;
};

struct sweep_row {
    enum gen_mode mode;
    int width, height, steps;
    size_t limit_bytes; /* 0: none */
    enum tri optimization[MEMORY_OPTIMIZATIONS];
    struct sweep_lora loras[MEMORY_SWEEP_LORAS];
    int n_loras;
};

enum sweep_status {
    SWEEP_DONE,
    SWEEP_REFUSED, /* nothing fits the limit */
    SWEEP_PLANNED, /* only planned, as asked */
    SWEEP_FAILED   /* an error, or the process died */
};

struct sweep_outcome {
    enum sweep_status status;
    char levers[MEMORY_SWEEP_LEVERS_BYTES];
    char text[400];       /* of a refusal or failure */
    size_t planned_bytes; /* peak; of a refusal: what the leanest plan needs */
    size_t measured_bytes;
    size_t grown_bytes; /* of a refusal: what planning added to the resident size */
    double seconds;
    int signal; /* that ended the process; 0: none */
};

struct sweep_model {
    const char *path, *tokenizer_dir; /* borrowed; the latter may be NULL */
    int threads;
};

/* "txt2img 512x512 steps=1 limit=0 vae_tiling=true lora=FILE:0.8 ...", and back; what is left out
 * is a default.  Paths hold no blank and no comma. */
void memory_sweep_row_write(char out[MEMORY_SWEEP_ROW_BYTES], const struct sweep_row *row);
bool memory_sweep_row_read(struct sweep_row *out, const char *text, struct error *err) MUST_CHECK;

/* What the run will do, in few words: "offload, UNet streamed, exact bands of 32". */
void memory_sweep_row_levers(char out[MEMORY_SWEEP_LEVERS_BYTES], const struct plan_levers *l);

/* Adds "FILE" or "FILE:SCALE" to a row. */
bool memory_sweep_row_add_lora(struct sweep_row *row, const char *text,
                               struct error *err) MUST_CHECK;

/* The request that a row makes; it borrows the row's paths. */
struct gen_request memory_sweep_row_request(const struct sweep_row *row);

/* Runs, or only plans, one row in this process and prints the outcome to standard output.  trace:
 * path of a CSV of resident bytes over time, or NULL. */
bool memory_sweep_child_run(const struct sweep_model *model, const struct sweep_row *row,
                            bool plan_only, const char *trace, struct error *err) MUST_CHECK;

/* Runs a row in a fresh process; limit_bytes 0, or the hard limit of a control group around it. */
bool memory_sweep_spawn_run(struct sweep_outcome *out, const struct sweep_model *model,
                            const struct sweep_row *row, bool plan_only, size_t limit_bytes,
                            struct error *err) MUST_CHECK;

/* A memory control group for one process, version 1 or 2, whichever is mounted. */
bool memory_sweep_cgroup_make(char path[400], size_t limit_bytes, struct error *err) MUST_CHECK;
bool memory_sweep_cgroup_enter(const char *path); /* the calling process */
void memory_sweep_cgroup_remove(const char *path);

/* Samples this process's resident size every 2 ms into a CSV. */
struct memory_sweep_trace {
    pthread_t thread;
    atomic_int phase; /* of enum plan_phase; -1: before and after */
    atomic_bool stop;
    const struct gen_plan *plan; /* borrowed */
    FILE *to;
    double started;
};
bool memory_sweep_trace_start(struct memory_sweep_trace *t, const char *path,
                              const struct gen_plan *plan, struct error *err) MUST_CHECK;
bool memory_sweep_trace_stop(struct memory_sweep_trace *t, struct error *err) MUST_CHECK;

/* n generations of mixed sizes in one process; *ok: the resident size after each is within 2 MB of
 * that after the second. */
bool memory_sweep_soak_run(bool *ok, const struct sweep_model *model, int n,
                           struct error *err) MUST_CHECK;

#endif
