/* The command inspect: what a model on disk holds. */
#ifndef APP_CLI_INSPECT_H
#define APP_CLI_INSPECT_H

#include "app/cli_flags.h"

#include <stdio.h>

bool cli_inspect_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
