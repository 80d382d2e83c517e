/* The command serve: opens the queue, the library, the worker's supervisor and the HTTP server, and
 * closes them in order when it is told to stop. */
#ifndef APP_SERVE_H
#define APP_SERVE_H

#include "app/cli_flags.h"

#include <stdio.h>

/* Runs until SIGINT or SIGTERM.  Tells on `to` where it listens; the log goes to standard error. */
bool serve_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
