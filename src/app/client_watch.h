/* Follows a job of a server to its end: a bar in a terminal, lines elsewhere. */
#ifndef APP_CLIENT_WATCH_H
#define APP_CLIENT_WATCH_H

#include "client/client.h"

#include <stdio.h>

struct client_watch_end {
    int n_pictures;
    char file_type[8]; /* "png" */
};

/* Returns when the job is done.  A job that failed or was cancelled is an error with the server's
 * reason; id has been checked. */
bool client_watch(struct client *c, const char *id, struct client_watch_end *out, FILE *to,
                  struct error *err) MUST_CHECK;

#endif
