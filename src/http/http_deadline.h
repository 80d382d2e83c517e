/* Cuts connections whose request, or whose reading of a reply, takes too long.
 *
 * libmicrohttpd's own limit starts anew with every byte, so a client that sends one now and then
 * would hold its connection for ever.  Each connection has a place here with a moment at which its
 * socket is shut down; its thread then finds it closed. */
#ifndef HTTP_HTTP_DEADLINE_H
#define HTTP_HTTP_DEADLINE_H

#include "base/error.h"

struct http_deadline;       /* all places; one owner */
struct http_deadline_place; /* a connection's */

bool http_deadline_open(struct http_deadline **out, int max_places, struct error *err) MUST_CHECK;
void http_deadline_close(struct http_deadline *d); /* accepts NULL; no place may be in use */

/* A place for the socket, without a moment yet; NULL where all are taken. */
struct http_deadline_place *http_deadline_take(struct http_deadline *d, int fd);

/* Before the socket is closed: it is not touched afterwards.  Accepts NULL. */
void http_deadline_give(struct http_deadline *d, struct http_deadline_place *p);

/* The socket is shut down so many seconds from now, unless set anew before; 0: not at all. */
void http_deadline_set(struct http_deadline *d, struct http_deadline_place *p, double seconds);

#endif
