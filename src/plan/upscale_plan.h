/* What an upscaler network will take before it runs: laid out in rings of rows, for a picture's
 * size.
 *
 * Reads no weight.  pipeline/upscale.h runs it, by itself or as the hires fix's enlargement. */
#ifndef PLAN_UPSCALE_PLAN_H
#define PLAN_UPSCALE_PLAN_H

#include "engine/exec.h"
#include "model/upscaler_file.h"

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
    bool never_streams, only_streams; /* a way that is not allowed; not both */
    int rows, up_rows;                /* for tests: these and no others; 0: the planner's choice */
};

/* The fastest way within the bounds.  ERROR_LIMIT when none fits: the sentence says what the
 * leanest needs, and so does out->peak_bytes, the only number of *out then.  On true the caller
 * owns *out; it borrows the file and the backend. */
bool upscale_plan_make(struct upscale_plan *out, const struct upscaler_file *file,
                       struct backend *b, int width, int height,
                       const struct upscale_bounds *bounds, struct error *err) MUST_CHECK;
void upscale_plan_clear(struct upscale_plan *p); /* accepts zeroes */

#endif
