/* Addresses that are good for a while without credentials: a signature over the path and the moment
 * it ends. */
#ifndef HTTP_HTTP_SIGN_H
#define HTTP_HTTP_SIGN_H

#include "base/error.h"
#include "http/http_request.h"

#include <stdint.h>

struct http_sign; /* a secret key; constant after it was opened */

enum { HTTP_SIGN_BYTES = 96 }; /* of "expires=...&signature=..." and its final 0 */

/* Reads the key from the file, or makes one (readable by its owner alone) where there is none. */
bool http_sign_open(struct http_sign **out, const char *key_file, struct error *err) MUST_CHECK;
void http_sign_close(struct http_sign *s); /* accepts NULL */

/* The query that makes path good until expires, seconds since 1970. */
void http_sign_make(const struct http_sign *s, char out[HTTP_SIGN_BYTES], const char *path,
                    int64_t expires);

/* Does the request's query hold a signature of its path that is still good at `now`? */
bool http_sign_check(const struct http_sign *s, const struct http_request *r, int64_t now);

#endif
