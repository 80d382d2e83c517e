/* From a job with names to pictures on disk: the one place that knows all the steps.
 *
 * Finds the model, its tokenizer, VAE, refiner, LoRAs and embeddings, plans within the memory there
 * is, brings the input to the planned size, runs, and writes the pictures with their text in them.
 * The command line and the worker both call it, in their own process.  It keeps the model opened
 * for the next job; scratch memory is kept or given back as design and settings say (pooling).
 *
 *     struct generator *g;
 *     generator_open(&g, &options, &err);
 *     generator_prepare(g, &task, &err);     opens and plans; generator_view tells the result
 *     generator_run(g, &watch, &result, &err);
 *     generator_result_clear(&result);
 *     generator_close(g);
 *
 * One thread uses a generator at a time. */
#ifndef GENERATOR_GENERATOR_H
#define GENERATOR_GENERATOR_H

#include "base/json.h"
#include "base/log.h"
#include "config/settings.h"
#include "library/library.h"
#include "memory/memory_reserve.h"
#include "pipeline/pipeline.h"
#include "plan/plan_size.h"
#include "request/gen_job.h"

struct generator; /* one owner */

enum { GENERATOR_PATH_BYTES = 4096 };

/* Everything is borrowed until generator_close. */
struct generator_options {
    const struct settings *settings;
    const struct settings_origins *origins; /* NULL: all are defaults */
    const char *version;                    /* of the program, for the picture's text */
    struct library *library; /* finds what clients name; NULL: names may be paths anywhere, and
                                messages speak of flags, as on the command line */
    struct memory_reserve *reserve;  /* where jobs of several processes share the machine's memory;
                                        NULL: this one takes what it finds */
    bool (*stop_waiting)(void *ctx); /* asked while a job waits for the others'; NULL: it never
                                        waits, and what does not fit now is refused */
    void *stop_ctx;
};

bool generator_open(struct generator **out, const struct generator_options *o,
                    struct error *err) MUST_CHECK;
/* Accepts NULL. */
void generator_close(struct generator *g);

/* Where picture i of the job goes, from 0 on; its ending says the format. */
typedef bool (*generator_path_fn)(void *ctx, char out[GENERATOR_PATH_BYTES], int i,
                                  struct error *err);

/* What to make.  Everything is borrowed until the run is over. */
struct generator_task {
    const struct gen_job *job; /* seeds picked */
    const char *input;         /* file; NULL for txt2img */
    const char *mask;          /* file; NULL: none */
    generator_path_fn path;
    void *path_ctx;
    const struct log *log; /* gets the ==> lines; NULL: nobody reads them (the result has them) */
};

/* Opens what the task names and plans it.  A model that is not the last one's takes its place, once
 * the old one has left memory.  Errors name the field that is at fault. */
bool generator_prepare(struct generator *g, const struct generator_task *t,
                       struct error *err) MUST_CHECK;

/* What was prepared; borrowed until the next prepare, unload or close. */
struct generator_view {
    const struct model_info *model; /* NULL: mode "upscale", or none is open */
    const char *model_name;         /* as lists call it; NULL with model */
    const struct plan_size *sized;  /* the request that runs, and its plan */
    const struct backend *backend;
    int input_width, input_height;    /* as the file has it; 0 without input */
    size_t n_tokens[2];               /* of the prompt and the negative prompt, longest text */
    const struct gen_warnings *notes; /* what is to be said of the request already */
    int n_pictures;
    size_t reserved_bytes; /* the planned peak */
};
struct generator_view generator_view(const struct generator *g);

/* What somebody who waits may answer, between operations. */
enum generator_wish {
    GENERATOR_GO_ON,
    GENERATOR_CANCEL, /* ERROR_CANCELLED, no picture is left */
    GENERATOR_FINISH, /* decode what there is, leave out the rest, the result is good */
    GENERATOR_SKIP,   /* the same for this batch; the next one follows */
};

struct generator_progress {
    enum plan_phase phase;
    const char *phase_name;         /* "denoise", "upscale", ... */
    double phase_done, phase_total; /* network calls; done grows within one */
    double progress;                /* 0..1 over the whole job; never goes back */
    double seconds_left;            /* below 0: not known yet */
    int step, steps;                /* of the sampler, in this batch */
    int batch, batches;             /* from 1 on */
};

/* All may be NULL.  Called on the thread that runs. */
struct generator_watch {
    void *ctx;
    void (*progress)(void *ctx, const struct generator_progress *p);
    enum generator_wish (*wish)(void *ctx);
    /* A picture was written; seed is its own. */
    void (*saved)(void *ctx, int i, const char *path, uint64_t seed);
    /* Where the job asks for previews: whether one is due, with done the part of the phase that is
     * behind.  NULL: each preview_every_seconds of the job. */
    bool (*preview_due)(void *ctx, double done);
    /* A small picture of the state; borrowed.  False: no more of them, err says why. */
    bool (*preview)(void *ctx, const struct image *small, struct error *err);
};

struct generator_result {
    json_t *json;   /* owned: what job.result holds, see docs/api.md */
    int n_pictures; /* written; fewer than asked for after FINISH or SKIP */
    double seconds[PLAN_PHASES];
    double save_seconds, total_seconds;
    int steps;     /* really run, of the last batch */
    bool finished; /* ended early, as was wished */
    bool relieved; /* pressure made a run stream what its plan held */
    size_t planned_peak_bytes;
    size_t measured_peak_bytes; /* 0 where the system does not say */
    struct gen_warnings warnings;
};

/* Runs what was prepared.  Pictures are written as soon as their batch is through; when it fails,
 * those written already are removed.  On true the caller clears *out. */
bool generator_run(struct generator *g, const struct generator_watch *watch,
                   struct generator_result *out, struct error *err) MUST_CHECK;
void generator_result_clear(struct generator_result *r); /* accepts zeroes */

/* What was prepared leaves memory: pictures, plan, LoRAs.  The model stays open. */
void generator_forget(struct generator *g);

/* The model leaves memory, with everything that was opened for it. */
void generator_unload(struct generator *g);

/* To be called now and then while nothing runs: unloads a model that nobody used for
 * model_idle_seconds, or at once while the system is short of memory.  True: it did. */
bool generator_idle(struct generator *g);

#endif
