/* A request as handlers see it: method, path, query, headers and the whole body.
 *
 * Everything is borrowed from the connection and lives until the handler has returned, for streams
 * until their last piece was made.  Tests make one by hand; nothing here needs a socket but
 * http_request_client_is_gone. */
#ifndef HTTP_HTTP_REQUEST_H
#define HTTP_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum http_method {
    HTTP_GET = 1, /* HEAD comes as GET: the server leaves the body of the reply out */
    HTTP_POST = 2,
    HTTP_PUT = 4,
    HTTP_PATCH = 8,
    HTTP_DELETE = 16,
    HTTP_OPTIONS = 32,
    HTTP_OTHER = 64,
};

enum { HTTP_REQUEST_PAIRS_MAX = 128 }; /* headers of a request; members of a query */

struct http_pair {
    const char *name;  /* as it was sent; headers are compared without regard to case */
    const char *value; /* never NULL; may be "" */
};

struct http_request {
    enum http_method method;
    bool is_head;
    bool is_tls;
    const char *path;  /* as sent, percent-encoded; begins with '/', has no control characters */
    const char *query; /* as sent, without the '?'; never NULL */
    const struct http_pair *headers;
    size_t n_headers;
    const void *body; /* NULL in `begin`, in a stream's functions, and when there is none */
    size_t body_bytes;
    const char *peer; /* the client's address as text, without port */
    int fd;           /* of the connection; -1 in tests */
    void *state;      /* the server's user may keep something here between its functions */
};

/* The header's value, or NULL.  The first one where it stands twice. */
const char *http_request_header(const struct http_request *r, const char *name);

/* Copies the decoded value of a member of the query into out, cut to room bytes.  False when it is
 * not there, or is no UTF-8 text. */
bool http_request_query(const struct http_request *r, const char *name, char *out, size_t room);

/* Has the client closed its side?  Asked while a handler waits for something; cheap. */
bool http_request_client_is_gone(const struct http_request *r);

/* "GET"; HEAD is "HEAD". */
const char *http_request_method_name(const struct http_request *r);

#endif
