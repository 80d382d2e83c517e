/* From a job to a request: what was not said comes from the model or the input picture. */
#ifndef GENERATOR_GENERATOR_REQUEST_H
#define GENERATOR_GENERATOR_REQUEST_H

#include "config/settings.h"
#include "generator/generator_model.h"
#include "request/gen_job.h"

struct gen_limits generator_request_limits(const struct settings *s);

/* What the job is asked of. */
struct generator_request_about {
    const struct settings *settings;
    const struct generator_model *model;
    const struct model_info *info;
    int input_width, input_height; /* img2img's picture; 0 for txt2img */
    bool has_mask;
    const char *upscaler_path; /* of the second pass; NULL: built in */
};

/* Without LoRAs, which need paths.  Text is borrowed from the job.  The request is checked. */
bool generator_request_make(struct gen_request *out, const struct gen_job *j,
                            const struct generator_request_about *about,
                            struct error *err) MUST_CHECK;

#endif
