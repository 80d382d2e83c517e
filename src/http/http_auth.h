/* Credentials: keys and passwords, compared in constant time.
 *
 * Only salted hashes are kept in memory after loading. */
#ifndef HTTP_HTTP_AUTH_H
#define HTTP_HTTP_AUTH_H

#include "base/error.h"
#include "http/http_request.h"

struct http_auth; /* constant after it was opened; one owner, used by many threads */

enum { HTTP_AUTH_MAX = 1000, HTTP_AUTH_LABEL_BYTES = 129 };

/* Where credentials come from; NULL or "" for none of a kind. */
struct http_auth_sources {
    const char *keys;       /* separated by blanks */
    const char *keys_file;  /* "KEY" or "NAME KEY" a line; # begins a comment */
    const char *users;      /* "NAME:PASSWORD", separated by commas */
    const char *users_file; /* "NAME:PASSWORD" a line; # begins a comment */
};

/* Reads them all.  ERROR_INVALID says which entry is wrong, without showing it. */
bool http_auth_open(struct http_auth **out, const struct http_auth_sources *s,
                    struct error *err) MUST_CHECK;
void http_auth_close(struct http_auth *a); /* accepts NULL */

/* Is there any credential?  Without one every request passes, whatever it sends. */
bool http_auth_is_on(const struct http_auth *a);

/* Does the request carry one: Authorization: Bearer KEY, Authorization: Basic, x-api-key, api-key?
 * A key may also come as Basic's password, with any name.  label gets the credential's name: of a
 * user its name, of a key its name or "key-N". */
bool http_auth_check(const struct http_auth *a, const struct http_request *r,
                     char label[HTTP_AUTH_LABEL_BYTES]);

#endif
