/* The command info: what a picture's file tells, without unpacking it. */
#ifndef APP_CLI_INFO_H
#define APP_CLI_INFO_H

#include "app/cli_flags.h"

#include <stdio.h>

/* With --json the object that POST /img-info answers. */
bool cli_info_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
