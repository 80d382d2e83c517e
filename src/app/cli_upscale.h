/* `diffusionapi upscale`: enlarges one picture with an upscaler network or a filter. */
#ifndef APP_CLI_UPSCALE_H
#define APP_CLI_UPSCALE_H

#include "app/cli_flags.h"

#include <stdio.h>

/* Progress and what the run took are told to `to`. */
bool cli_upscale_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
