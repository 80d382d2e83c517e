/* The command plan: what a request will take on this machine or a described one, without running
 * it. */
#ifndef APP_CLI_PLAN_H
#define APP_CLI_PLAN_H

#include "app/cli_flags.h"

bool cli_plan_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
