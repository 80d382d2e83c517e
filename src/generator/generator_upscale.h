/* Jobs of mode "upscale": a picture enlarged by one upscaler, or by two whose results are mixed.
 * Internal to generator/. */
#ifndef GENERATOR_GENERATOR_UPSCALE_H
#define GENERATOR_GENERATOR_UPSCALE_H

#include "generator/generator_internal.h"

/* Finds the upscalers and plans them.  now.task and now.input are there. */
bool generator_upscale_prepare(struct generator *g, struct error *err) MUST_CHECK;

bool generator_upscale_run(struct generator *g, const struct generator_watch *watch,
                           struct generator_result *out, struct error *err) MUST_CHECK;

#endif
