/* The commands txt2img and img2img: from options to pictures on disk. */
#ifndef APP_CLI_GENERATE_H
#define APP_CLI_GENERATE_H

#include "app/cli_flags.h"

#include <stdio.h>

/* Progress and the summary go to `to`. */
bool cli_generate_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
