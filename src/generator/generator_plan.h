/* What a job would take, without running it: from the headers of its files alone. */
#ifndef GENERATOR_GENERATOR_PLAN_H
#define GENERATOR_GENERATOR_PLAN_H

#include "base/json.h"
#include "generator/generator_request.h"
#include "library/library.h"
#include "plan/plan_size.h"

/* Everything is borrowed. */
struct generator_plan_ask {
    const struct settings *settings;
    const struct settings_origins *origins; /* NULL: all are defaults */
    struct library *library;                /* as in generator_options */
    const struct gen_job *job;              /* not of mode "upscale" */
    int input_width, input_height;          /* img2img's picture */
    bool has_mask;
    uint64_t base_bytes;     /* resident memory of the process that is to run it; 0: of this one */
    bool (*stop)(void *ctx); /* as in plan_size_ask */
    void *stop_ctx;
};

struct generator_plan {
    struct library *own_library; /* owned; of the command line */
    struct generator_model found, found_refiner;
    struct model *model, *refiner; /* owned; refiner NULL: none */
    struct backend *backend;       /* owned */
    struct gen_request asked;
    struct lora_set loras, refiner_loras;
    struct upscaler_file *upscaler; /* owned; of the second pass; NULL: none */
    char upscaler_path[GENERATOR_MODEL_PATH_BYTES];
    char lora_paths[GEN_MAX_LORAS][GENERATOR_MODEL_PATH_BYTES]; /* that asked borrows */
    struct memory_policy policy;
    enum memory_size_policy size_policy;
    struct machine machine;
    struct plan_size sized;
    /* Of this shape that fits, the size table aside; zeroes: none.  Of a plan that fits nowhere the
     * size that would. */
    struct memory_size largest;
    double planning_seconds;
};

/* On true the caller clears *out.  Errors as generator_prepare's; with ERROR_LIMIT out->largest is
 * all that is left.  *out must not move. */
bool generator_plan_make(struct generator_plan *out, const struct generator_plan_ask *ask,
                         struct error *err) MUST_CHECK;
void generator_plan_clear(struct generator_plan *p);

/* What `plan --json` prints.  NULL: no memory.  The caller owns it. */
json_t *generator_plan_json(const struct generator_plan *p);

/* {"refused": why, "largest": size or null}, of a plan that ended with ERROR_LIMIT.  The same. */
json_t *generator_plan_json_refusal(const struct generator_plan *p, const char *why);

#endif
