/* The order of a run's stages: texts, the input, one pass or two, pictures.  Internal to pipeline/.
 */
#ifndef PIPELINE_COURSE_H
#define PIPELINE_COURSE_H

#include "pipeline/stages.h"

/* Fills in the result's pictures, seconds, steps and warnings of the way. */
bool course_run(const struct stage *s, const struct pipeline_input *input,
                struct error *err) MUST_CHECK;

#endif
