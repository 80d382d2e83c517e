/* What a handler answers: a status, headers, and a body from memory, from a file, or made piece by
 * piece while it is sent.
 *
 * A reply starts as zeroes and owns what it was given; setting the body again frees the one before.
 */
#ifndef HTTP_HTTP_REPLY_H
#define HTTP_HTTP_REPLY_H

#include "base/buf.h"
#include "base/error.h"
#include "http/http_request.h"

#include <stdint.h>

enum { HTTP_REPLY_HEADERS_MAX = 24 };

enum http_reply_kind { HTTP_REPLY_EMPTY, HTTP_REPLY_BYTES, HTTP_REPLY_FILE, HTTP_REPLY_STREAM };

/* Appends the next piece of a streamed body to out, which is empty and takes 64 MiB.  Called on the
 * connection's own thread again and again, and may wait up to about ten seconds; a piece may be
 * empty.  Returns false when nothing follows.  Who waits longer sends something harmless meanwhile
 * (a comment, white space), which also shows whether the client still reads. */
typedef bool (*http_reply_next_fn)(void *ctx, const struct http_request *r, struct buf *out);

struct http_reply_header {
    const char *name; /* borrowed: a literal */
    char *value;      /* owned */
};

struct http_reply {
    int status; /* 0: nobody answered yet */
    enum http_reply_kind kind;
    const char *content_type; /* borrowed: a literal, or NULL */
    char *bytes;              /* owned */
    size_t n_bytes;
    int fd; /* HTTP_REPLY_FILE; owned */
    uint64_t file_bytes;
    http_reply_next_fn next; /* HTTP_REPLY_STREAM */
    void (*free_ctx)(void *ctx);
    void *ctx; /* owned through free_ctx */
    struct http_reply_header headers[HTTP_REPLY_HEADERS_MAX];
    int n_headers;
    bool close;  /* the connection ends with this reply */
    bool failed; /* there was no memory for part of it: the server answers 500 instead */
};

/* Copies the bytes. */
void http_reply_bytes(struct http_reply *out, int status, const char *content_type,
                      const void *bytes, size_t n_bytes);

/* Takes what is in b, which is empty afterwards.  A buffer that failed makes the reply fail. */
void http_reply_take(struct http_reply *out, int status, const char *content_type, struct buf *b);

/* Takes the descriptor, which is open for reading and stands at the begin of file_bytes bytes. */
void http_reply_file(struct http_reply *out, int status, const char *content_type, int fd,
                     uint64_t file_bytes);

/* Takes ctx: free_ctx(ctx) is called once, on the thread of the connection, when the stream has
 * ended or the client is gone; the request may be gone then, too. */
void http_reply_stream(struct http_reply *out, int status, const char *content_type,
                       http_reply_next_fn next, void (*free_ctx)(void *ctx), void *ctx);

/* No body. */
void http_reply_empty(struct http_reply *out, int status);

/* Adds a header, or replaces the one of this name.  Control characters in the value become blanks.
 * Content-Type and Content-Length come by themselves. */
void http_reply_header(struct http_reply *out, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Frees body and headers; zeroes afterwards. */
void http_reply_clear(struct http_reply *out);

/* "Not Found"; "" for a number that is no status. */
const char *http_reply_reason(int status);

#endif
