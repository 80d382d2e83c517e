/* A listening socket. */
#ifndef HTTP_HTTP_LISTEN_H
#define HTTP_HTTP_LISTEN_H

#include "base/error.h"

/* Binds and listens.  address is numbers or "localhost", which is 127.0.0.1; port 0: any. *out_port
 * is the one it got.  ERROR_INVALID: no address; ERROR_IO: in use, or not this machine's. */
bool http_listen_open(int *out_fd, int *out_port, const char *address, int port,
                      struct error *err) MUST_CHECK;

/* Is it an address that only this machine reaches?  "localhost", 127.x.y.z, ::1. */
bool http_listen_is_loopback(const char *address);

#endif
