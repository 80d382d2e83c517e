/* `diffusionapi client`: the program diffusionapi-client beside this one takes over. */
#ifndef APP_CLI_CLIENT_H
#define APP_CLI_CLIENT_H

#include "base/error.h"

/* Returns only where that program cannot be started.  argv as main got it. */
bool cli_client_exec(char **argv, struct error *err) MUST_CHECK;

#endif
