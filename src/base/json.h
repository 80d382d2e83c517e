/* JSON from files that are not trusted: limits, and errors that name file, place and key.
 *
 * A thin layer over jansson.  The getters look at the keys of the top-level object; for anything
 * deeper use jansson on `root`. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

enum {
    JSON_CONFIG_MAX_BYTES = 1 << 20, /* for configuration files */
    JSON_VOCAB_MAX_BYTES = 16 << 20, /* for vocabularies */
    JSON_NESTING_MAX = 32,           /* arrays and objects inside each other */
};

struct json {
    json_t *root;     /* owned; an object */
    const char *file; /* borrowed: how errors call it */
};

/* Parses the whole file, which must be one object without duplicate keys.  path is borrowed for as
 * long as *out is used; json_clear frees the rest. */
bool json_read_file(struct json *out, const char *path, size_t max_bytes,
                    struct error *err) MUST_CHECK;
bool json_read_bytes(struct json *out, const char *name, const void *bytes, size_t n_bytes,
                     size_t max_bytes, struct error *err) MUST_CHECK;

/* Accepts a zeroed struct. */
void json_clear(struct json *j);

/* The key stands there with a value other than null. */
bool json_has(const struct json *j, const char *key);

/* Each want_ fails when the key is missing or null, has another type, or lies out of range. */
bool json_want_int(const struct json *j, const char *key, int min, int max, int *out,
                   struct error *err) MUST_CHECK;
bool json_want_float(const struct json *j, const char *key, float min, float max, float *out,
                     struct error *err) MUST_CHECK;
bool json_want_bool(const struct json *j, const char *key, bool *out, struct error *err) MUST_CHECK;
bool json_want_string(const struct json *j, const char *key, const char **out,
                      struct error *err) MUST_CHECK; /* borrowed from j */
bool json_want_array(const struct json *j, const char *key, size_t max_n, const json_t **out,
                     struct error *err) MUST_CHECK; /* borrowed; at least one element */
/* An array of 1..max_n whole numbers. */
bool json_want_ints(const struct json *j, const char *key, int min, int max, int *out, int max_n,
                    int *n, struct error *err) MUST_CHECK;

/* The same with a value for keys that are missing or null. */
bool json_maybe_int(const struct json *j, const char *key, int min, int max, int fallback, int *out,
                    struct error *err) MUST_CHECK;
bool json_maybe_float(const struct json *j, const char *key, float min, float max, float fallback,
                      float *out, struct error *err) MUST_CHECK;
bool json_maybe_bool(const struct json *j, const char *key, bool fallback, bool *out,
                     struct error *err) MUST_CHECK;
bool json_maybe_string(const struct json *j, const char *key, const char *fallback,
                       const char **out, struct error *err) MUST_CHECK;

/* "FILE: 'key' is VALUE: WHAT", for checks that callers make themselves.  Returns false. */
bool json_reject(const struct json *j, const char *key, const char *what, struct error *err);

#endif
