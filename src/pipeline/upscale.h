/* Enlarges pictures with an upscaler network, row by row: planned to the byte, then run.
 *
 *     struct upscaler *u;
 *     upscale_open(&u, path, backend, &err);
 *     upscale_plan(&plan, u, in.width, in.height, &bounds, &err);
 *     upscale_run(&out, u, &plan, &in, &watch, &err);
 *     upscale_plan_clear(&plan);
 *     upscale_close(u);
 *
 * The result has the same bits however little memory there is.  One thread uses an upscaler at a
 * time. */
#ifndef PIPELINE_UPSCALE_H
#define PIPELINE_UPSCALE_H

#include "engine/exec.h"
#include "image/image.h"
#include "model/upscaler_file.h"

struct upscaler;

/* The backend is borrowed.  On true the caller owns *out. */
bool upscale_open(struct upscaler **out, const char *path, struct backend *b,
                  struct error *err) MUST_CHECK;
void upscale_close(struct upscaler *u); /* accepts NULL */

const char *upscale_name(const struct upscaler *u); /* the file's, without its ending */
int upscale_scale(const struct upscaler *u);        /* 1, 2, 4 or 8 */

struct upscale_plan {
    struct graph *graph; /* owned, like weights and exec */
    struct weights *weights;
    struct exec *exec;
    int image, out;    /* tensors */
    int width, height; /* of the picture */
    int out_width, out_height;
    int rows, up_rows; /* at a time: of the trunk, and of it while it is enlarged */
    bool stream;       /* weights are in memory for their operation only */
    size_t base_bytes; /* of the process before the run */
    size_t weights_bytes, arena_bytes, host_bytes;
    size_t peak_bytes;     /* planned, of the process */
    double flops, seconds; /* modelled */
};

struct upscale_bounds {
    size_t base_bytes;  /* of the process before the run; 0: what it has once the plan is made */
    size_t limit_bytes; /* most that the process may become; 0: no bound */
    int rows, up_rows;  /* for tests: these and no others; 0: the planner's choice */
};

/* The fastest way within the bounds.  ERROR_LIMIT when none fits: the sentence says what the
 * leanest needs.  On true the caller owns *out; it borrows the upscaler. */
bool upscale_plan(struct upscale_plan *out, const struct upscaler *u, int width, int height,
                  const struct upscale_bounds *bounds, struct error *err) MUST_CHECK;
void upscale_plan_clear(struct upscale_plan *p); /* accepts zeroes */

/* What somebody who waits wants to know.  Functions may be NULL. */
struct upscale_watch {
    void *ctx;
    void (*progress)(void *ctx, double done, double total);
    bool (*cancelled)(void *ctx); /* asked between operations */
};

/* in has the planned size.  watch may be NULL.  *measured_peak_bytes is of the process, 0 where the
 * system does not say; NULL: nobody asks.  On true the caller owns *out. */
bool upscale_run(struct image *out, const struct upscaler *u, struct upscale_plan *p,
                 const struct image *in, const struct upscale_watch *watch,
                 size_t *measured_peak_bytes, struct error *err) MUST_CHECK;

#endif
