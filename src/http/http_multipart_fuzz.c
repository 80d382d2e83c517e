#include "http/http_multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The first line of the input is the Content-Type, the rest the body.  Parts lie inside the body,
 * one behind the other, and what is refused leaves nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_multipart form;
    struct error err = {0};
    const char *line = memchr(data, '\n', size);
    size_t len = line ? (size_t)(line - (const char *)data) : size;
    char *type = calloc(1, len + 1);
    size_t n = size - len - (line != NULL);
    char *body = malloc(n ? n : 1); /* the sanitizer guards its end */

    if (type && body) {
        memcpy(type, data, len);
        memcpy(body, data + size - n, n);
        if (http_multipart_read(&form, type, body, n, &err)) {
            const char *at = body;
            for (size_t i = 0; i < form.n; i++) {
                const struct http_multipart_part *p = &form.parts[i];
                if (p->bytes < at || p->n_bytes > n || p->bytes + p->n_bytes > body + n ||
                    !p->name[0])
                    abort();
                at = p->bytes + p->n_bytes;
            }
        } else if (err.code == ERROR_NONE || form.parts || form.n) {
            abort();
        }
        http_multipart_clear(&form);
    }
    free(type);
    free(body);
    return 0;
}
