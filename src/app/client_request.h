/* From the command line to the body of POST /txt2img or /img2img. */
#ifndef APP_CLIENT_REQUEST_H
#define APP_CLIENT_REQUEST_H

#include "app/cli_flags.h"

#include <jansson.h>

/* What was not said is left to the server.  Reads --image and --mask.  The caller owns *out. */
bool client_request_make(json_t **out, const struct cli_options *o, struct error *err) MUST_CHECK;

#endif
