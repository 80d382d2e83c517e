/* SDXL's pooled text: the second encoder's last state at the end of the text, projected.  Internal
 * to pipeline/. */
#ifndef PIPELINE_TEXT_POOLED_H
#define PIPELINE_TEXT_POOLED_H

#include "model/model.h"

/* out [n][projection_dim] = text_projection times states [n][width].  The projection's pages are
 * given back. */
bool text_pooled_project(float *out, const float *states, int n, const struct model *m,
                         struct error *err) MUST_CHECK;

#endif
