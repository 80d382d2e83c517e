/* Bodies of forms with files: multipart/form-data (RFC 7578), taken apart in memory.
 *
 * The body is not trusted and not copied: parts point into it.  Lenient where clients differ
 * (boundaries in quotes, no line end before the first one, blanks behind it, unknown headers). */
#ifndef HTTP_HTTP_MULTIPART_H
#define HTTP_HTTP_MULTIPART_H

#include "base/error.h"

enum {
    HTTP_MULTIPART_MAX_PARTS = 128,
    HTTP_MULTIPART_TEXT_BYTES = 256,  /* longest name, file name and type, with a final 0 */
    HTTP_MULTIPART_HEAD_BYTES = 8192, /* of a part's headers */
};

struct http_multipart_part {
    char name[HTTP_MULTIPART_TEXT_BYTES];      /* UTF-8; as sent: "image[]" */
    char file_name[HTTP_MULTIPART_TEXT_BYTES]; /* UTF-8, "" without one */
    char type[HTTP_MULTIPART_TEXT_BYTES];      /* Content-Type, "" without one */
    bool is_file;                              /* it has a file name, maybe an empty one */
    const char *bytes;                         /* borrowed from the body; not terminated */
    size_t n_bytes;
};

struct http_multipart {
    struct http_multipart_part *parts; /* owned */
    size_t n;
};

/* Is it the Content-Type of such a form?  NULL is not. */
bool http_multipart_is(const char *content_type);

/* content_type as the header has it.  ERROR_INVALID says what is wrong with the form.  The caller
 * clears *out. */
bool http_multipart_read(struct http_multipart *out, const char *content_type, const void *body,
                         size_t n_bytes, struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void http_multipart_clear(struct http_multipart *m);

/* The first part of this name; NULL. */
const struct http_multipart_part *http_multipart_find(const struct http_multipart *m,
                                                      const char *name);

#endif
