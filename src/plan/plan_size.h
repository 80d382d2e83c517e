/* From what the user wants and what the machine has to a plan: level, size, bounds, levers.
 *
 * The size rule first (a table by level, none, or never another size), then the planner, then,
 * where nothing fits, a smaller size or a refusal that says what would fit.  Reads no weight and
 * prints nothing. */
#ifndef PLAN_PLAN_SIZE_H
#define PLAN_PLAN_SIZE_H

#include "memory/transcript.h"
#include "plan/gen_plan.h"

/* Everything is borrowed. */
struct plan_size_ask {
    const struct memory_policy *policy;
    const enum memory_size_policy *size_policy; /* the request's own; NULL: the policy's */
    const struct machine *machine;
    /* Of the size that is asked for: that of a second pass, where there is one. */
    const struct gen_request *request;
    struct plan_models models;
    struct backend *backend;
    size_t base_bytes;       /* resident memory of the process before the run */
    size_t beside_bytes;     /* what will be taken beside the run: previews */
    bool (*stop)(void *ctx); /* asked before each size that is tried; true ends it all with
                              * ERROR_CANCELLED; NULL: nobody stops it */
    void *stop_ctx;
    struct memory_size *would_fit; /* filled by a refusal, zeroes: no size would; NULL: not asked */
};

struct plan_size {
    struct transcript transcript; /* the planner's levers included */
    struct gen_request request;   /* of the size that is used */
    struct plan_bounds bounds;    /* what the plan was made within */
    struct gen_plan plan;
};

/* Where a plan starts and must end.  The limit is what the process holds now and what the machine
 * can spare beside its reserve; a budget is the most that the process may hold in all. */
struct plan_bounds plan_size_bounds(const struct plan_size_ask *ask);

/* Where a second pass has to be smaller it enlarges to less, its size in request.hires.width and
 * height; where nothing is left to enlarge there is none (gen_request_has_hires).
 *
 * On true the caller owns *out and ends it with plan_size_clear.  ERROR_LIMIT where nothing fits:
 * bytes needed, bytes there are, the largest size that would fit and settings that would help. */
bool plan_size_make(struct plan_size *out, const struct plan_size_ask *ask,
                    struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void plan_size_clear(struct plan_size *p);

/* The largest size of the request's shape, at most max and both sides multiples of 8, that a plan
 * fits; zeroes where not even 64 pixels fit.  The table plays no part. */
bool plan_size_largest(struct memory_size *out, const struct plan_size_ask *ask,
                       struct memory_size max, struct error *err) MUST_CHECK;

/* The model is SDXL or its refiner. */
bool plan_size_is_sdxl(const struct model *m);

#endif
