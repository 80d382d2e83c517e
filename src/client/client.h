/* Talks HTTP with a running server: JSON both ways, and files.
 *
 * Knows the native API's way of telling errors and nothing of what the documents mean.  Redirects
 * are not followed and nothing but http and https is spoken.  One thread uses a client at a time.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

struct client; /* one owner */

enum {
    CLIENT_REPLY_MAX_BYTES = 256 << 20, /* a reply with pictures in it */
    CLIENT_JSON_MAX_BYTES = 192 << 20,
};

/* server is "http://127.0.0.1:7866" or the like, with or without a final slash; ERROR_INVALID where
 * it is no such address.  api_key, NULL or "": none, is sent as a Bearer token; user:password, when
 * it holds a colon, as Basic.  Both are copied. */
bool client_open(struct client **out, const char *server, const char *api_key,
                 struct error *err) MUST_CHECK;

/* Accepts NULL. */
void client_close(struct client *c);

/* Asked a few times a second while a reply is awaited; true ends the call with ERROR_CANCELLED. */
typedef bool (*client_stop_fn)(void *ctx);
void client_set_stop(struct client *c, client_stop_fn stop, void *ctx);

/* GET, POST or DELETE path ("/txt2img").  body NULL: none.  A status beyond 299 is an error whose
 * text is the server's own sentence: 404 ERROR_NOT_FOUND, 429 ERROR_FULL, 503 ERROR_BUSY, other
 * 4xx ERROR_INVALID, the rest ERROR_IO.  The caller clears *out with json_clear. */
bool client_call(struct client *c, struct json *out, const char *method, const char *path,
                 const json_t *body, struct error *err) MUST_CHECK;

/* The bytes at path; out was made by buf_init and is the caller's to clear. */
bool client_fetch(struct client *c, struct buf *out, const char *path,
                  struct error *err) MUST_CHECK;

#endif
