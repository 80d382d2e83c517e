/* The page: the files of web/, which the build puts into the program.
 *
 * Knows nothing of HTTP and of what the files say.  cmake/embed.cmake writes the table. */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include <stddef.h>

struct web_file {
    const char *path;         /* relative to web/: "index.html", "app.js" */
    const char *content_type; /* as HTTP wants it, with the charset of texts */
    const unsigned char *bytes;
    size_t n_bytes;
    const char *etag; /* of the content, in its quotes: changes when, and only when, the bytes do */
};

/* path as in web_file; "" is the page itself, index.html.  NULL where there is none; else it lives
 * as long as the program. */
const struct web_file *web_find(const char *path);

/* For going through all: the n-th, from 0; NULL behind the last. */
const struct web_file *web_at(size_t n);

#endif
