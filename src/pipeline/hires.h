/* Between the first pass and the second: what A1111's sample_hr_pass does before it samples.
 * Internal to pipeline/. */
#ifndef PIPELINE_HIRES_H
#define PIPELINE_HIRES_H

#include "pipeline/stages.h"

/* From the first pass's result to what the second one starts from: enlarged as latents, or decoded,
 * enlarged as pictures and encoded to the posterior's mean.  *shown is replaced by what an
 * inpainting model is shown at the second size.  On false x and *shown are empty. */
bool hires_enlarge(struct latents *x, float **shown, const struct stage *s,
                   struct error *err) MUST_CHECK;

/* The first pass's pictures, enlarged: where no step follows they are the result.  x is used up;
 * pictures come as zeroes and are the caller's to clear after a failure too. */
bool hires_pictures(struct image *pictures, struct latents *x, const struct stage *s,
                    struct error *err) MUST_CHECK;

#endif
