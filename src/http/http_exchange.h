/* One request and its reply, between libmicrohttpd and the server's user.  For http_server.c. */
#ifndef HTTP_HTTP_EXCHANGE_H
#define HTTP_HTTP_EXCHANGE_H

#include "http/http_deadline.h"
#include "http/http_server.h"

#include <microhttpd.h>
#include <stdatomic.h>

/* What all connections share. */
struct http_exchange_shared {
    struct http_server_settings settings;
    bool is_tls;
    struct http_deadline *deadline;
    _Atomic size_t bodies_bytes; /* in memory now */
    _Atomic int n_exchanges;     /* under way now */
};

struct http_exchange {
    struct http_exchange_shared *shared;
    struct http_request request;
    struct http_reply reply; /* filled before the body is there: a refusal */
    struct http_pair pairs[HTTP_REQUEST_PAIRS_MAX];
    char peer[64];
    char *uri; /* owned; path and query point into it */
    char *body;
    size_t body_len, body_cap;
    size_t drained;   /* bytes of the body that were thrown away */
    bool begun;       /* the headers were looked at */
    bool sent_status; /* a reply was queued */
    struct http_server_sent sent;
    double started;
};

/* For the first line of a request; uri as sent.  NULL: no memory. */
struct http_exchange *http_exchange_new(struct http_exchange_shared *shared, const char *uri);
void http_exchange_free(struct http_exchange *x, bool complete);

/* The headers are there. */
enum MHD_Result http_exchange_begin(struct http_exchange *x, struct MHD_Connection *connection,
                                    const char *method, struct http_deadline_place *place);
/* A piece of the body; MHD_NO ends the connection. */
enum MHD_Result http_exchange_body(struct http_exchange *x, const char *bytes, size_t n);
/* The body is complete. */
enum MHD_Result http_exchange_answer(struct http_exchange *x, struct MHD_Connection *connection,
                                     struct http_deadline_place *place);

#endif
