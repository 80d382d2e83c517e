/* What a pass starts from, beside noise: img2img's picture as latents, and what an inpainting model
 * is shown.  Internal to pipeline/. */
#ifndef PIPELINE_SOURCE_H
#define PIPELINE_SOURCE_H

#include "pipeline/inpaint.h"

/* Img2img's latents of each picture, filled as asked where the mask is; zeroes for txt2img.  *shown
 * is NULL for models that are shown nothing.  On true the caller frees out->x and *shown. */
bool source_make(struct latents *out, float **shown, const struct stage *s,
                 const struct inpaint *input, struct error *err) MUST_CHECK;

#endif
