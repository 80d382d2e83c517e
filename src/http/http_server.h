/* HTTP/1.1 over TCP or TLS: one thread a connection, so that a handler may wait for a job and still
 * be a straight line of code.
 *
 * Knows no paths, no JSON and no credentials: it hands whole requests to its user and sends the
 * replies.  The client is not trusted: bytes of a request and of all requests together, number and
 * size of headers, connections, and the time a request may take to arrive are bounded. */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include "base/log.h"
#include "http/http_reply.h"
#include "http/http_request.h"

struct http_server; /* a listening socket and its threads; one owner */

/* Told when a reply was sent, or was given up because the client went. */
struct http_server_sent {
    int status;
    uint64_t bytes; /* of the body; what was handed to the system */
    double seconds; /* since the request's first line was read */
    bool complete;
};

struct http_server_settings {
    const char *listen; /* an address as numbers ("127.0.0.1", "::1"), or "localhost" */
    int port;           /* 0: any that is free; see http_server_port */
    const char *tls_certificate, *tls_key; /* PEM files; NULL or "": no TLS */
    size_t max_body_bytes;
    size_t max_bodies_bytes; /* of all requests in memory together; 0: four times max_body_bytes */
    int max_connections;
    double idle_seconds;    /* a connection may wait for its next request, or for a slow byte */
    double request_seconds; /* from a request's first byte to its last, and for reading a reply */
    const struct log *log;  /* borrowed, may be NULL */

    void *ctx; /* of the functions below, which run on many threads at once */

    /* The headers are there, the body is not: the place to refuse.  Filling reply ends the request;
     * the body, where one comes, is thrown away. */
    void (*begin)(void *ctx, struct http_request *r, struct http_reply *reply);
    /* The whole request is there.  Must fill reply. */
    void (*handle)(void *ctx, struct http_request *r, struct http_reply *reply);
    /* The server itself refuses: 400, 413, 500 or 503.  Must fill reply in the shape that clients
     * of this path know. */
    void (*refuse)(void *ctx, struct http_request *r, struct http_reply *reply, int status,
                   const char *text);
    /* The request is over.  May be NULL.  Frees r->state. */
    void (*done)(void *ctx, const struct http_request *r, const struct http_server_sent *sent);
};

/* Listens, and answers from now on.  ERROR_IO says that the address is in use or not ours;
 * ERROR_INVALID that it is no address, or what is wrong with the certificate. */
bool http_server_open(struct http_server **out, const struct http_server_settings *s,
                      struct error *err) MUST_CHECK;

/* The port it listens on. */
int http_server_port(const struct http_server *s);

/* Accepts no more connections; requests under way go on. */
void http_server_quiesce(struct http_server *s);

/* Open connections. */
int http_server_connections(const struct http_server *s);

/* Waits until all handlers have returned, whose waits must have been ended before, and a few
 * seconds for their answers to be sent.  Accepts NULL. */
void http_server_close(struct http_server *s);

#endif
