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

#include "image/image.h"
#include "model/upscaler_file.h"
#include "plan/upscale_plan.h"

struct upscaler;

/* The backend is borrowed.  On true the caller owns *out. */
bool upscale_open(struct upscaler **out, const char *path, struct backend *b,
                  struct error *err) MUST_CHECK;
void upscale_close(struct upscaler *u); /* accepts NULL */

const char *upscale_name(const struct upscaler *u); /* the file's, without its ending */
int upscale_scale(const struct upscaler *u);        /* 1, 2, 4 or 8 */

/* The fastest way within the bounds.  ERROR_LIMIT when none fits: the sentence says what the
 * leanest needs.  On true the caller owns *out; it borrows the upscaler. */
bool upscale_plan(struct upscale_plan *out, const struct upscaler *u, int width, int height,
                  const struct upscale_bounds *bounds, struct error *err) MUST_CHECK;

/* What somebody who waits wants to know.  Functions may be NULL. */
struct upscale_watch {
    void *ctx;
    void (*progress)(void *ctx, double done, double total);
    bool (*cancelled)(void *ctx); /* asked between operations */
};

/* The same within a run that has an arena and a peak of its own: NULL or at least the plan's
 * arena_bytes. */
bool upscale_run_inside(struct image *out, const struct upscaler_file *file, struct upscale_plan *p,
                        const struct image *in, void *arena, const struct upscale_watch *watch,
                        struct error *err) MUST_CHECK;

/* in has the planned size.  watch may be NULL.  *measured_peak_bytes is of the process, 0 where the
 * system does not say; NULL: nobody asks.  On true the caller owns *out. */
bool upscale_run(struct image *out, const struct upscaler *u, struct upscale_plan *p,
                 const struct image *in, const struct upscale_watch *watch,
                 size_t *measured_peak_bytes, struct error *err) MUST_CHECK;

#endif
