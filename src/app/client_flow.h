/* `diffusionapi client`: hands a request to a running server, shows how it gets on, and saves the
 * pictures; or lists, follows, and cancels jobs that are there already. */
#ifndef APP_CLIENT_FLOW_H
#define APP_CLIENT_FLOW_H

#include "app/cli_flags.h"

#include <stdio.h>

/* What there is to tell goes to `to`, listings to standard output.  ERROR_CANCELLED: Ctrl-C, and
 * the job that was submitted here is cancelled on the server. */
bool client_flow_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
