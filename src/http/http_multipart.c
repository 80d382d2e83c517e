#include "http/http_multipart.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BOUNDARY_MAX_BYTES = 200, FIRST_PARTS = 8 };

struct reader {
    const char *at, *end;
    char delimiter[BOUNDARY_MAX_BYTES + 8]; /* "\r\n--" and the boundary */
    size_t delimiter_len;
};

bool http_multipart_is(const char *content_type)
{
    static const char kind[] = "multipart/form-data";
    return content_type && strncasecmp(content_type, kind, sizeof kind - 1) == 0 &&
           (content_type[sizeof kind - 1] == 0 || strchr("; \t", content_type[sizeof kind - 1]));
}

/* Copies the value of a parameter ("name" in: form-data; name="x") into out; false when it is not
 * there or does not fit.  Quoted values may hold \" and \\. */
static bool find_parameter(char *out, size_t room, const char *text, size_t len, const char *name)
{
    const char *end = text + len;
    size_t name_len = strlen(name);

    while (text < end) {
        while (text < end && *text != ';')
            text++;
        while (text < end && strchr("; \t", *text))
            text++;
        bool is_it = (size_t)(end - text) > name_len && strncasecmp(text, name, name_len) == 0 &&
                     text[name_len] == '=';
        while (text < end && *text != '=' && *text != ';')
            text++;
        if (text == end || *text == ';')
            continue;
        text++;
        size_t n = 0;
        bool quoted = text < end && *text == '"', fits = true;
        text += quoted;
        while (text < end && (quoted ? *text != '"' : *text != ';')) {
            if (quoted && *text == '\\' && text + 1 < end && (text[1] == '"' || text[1] == '\\'))
                text++;
            if (n + 1 >= room)
                fits = false;
            else if (is_it)
                out[n++] = *text;
            text++;
        }
        if (is_it) {
            while (!quoted && n > 0 && strchr(" \t", out[n - 1]))
                n--;
            out[n] = 0;
            return fits;
        }
    }
    return false;
}

/* Where the delimiter begins, or NULL. */
static const char *find_delimiter(const struct reader *r, const char *from)
{
    while ((size_t)(r->end - from) >= r->delimiter_len) {
        const char *cr = memchr(from, '\r', (size_t)(r->end - from) - r->delimiter_len + 1);
        if (!cr)
            return NULL;
        if (memcmp(cr, r->delimiter, r->delimiter_len) == 0)
            return cr;
        from = cr + 1;
    }
    return NULL;
}

/* To the first part: what stands before its boundary is ignored. */
static bool skip_preamble(struct reader *r, struct error *err)
{
    size_t dashes = r->delimiter_len - 2;

    if ((size_t)(r->end - r->at) >= dashes && memcmp(r->at, r->delimiter + 2, dashes) == 0) {
        r->at += dashes;
        return true;
    }
    const char *found = find_delimiter(r, r->at);
    if (!found)
        return error_set(err, ERROR_INVALID,
                         "the form does not hold the boundary that its "
                         "Content-Type names");
    r->at = found + r->delimiter_len;
    return true;
}

/* Behind a delimiter: "--" ends the form, a line end begins a part. */
static bool read_line_end(struct reader *r, bool *last, struct error *err)
{
    *last = r->end - r->at >= 2 && r->at[0] == '-' && r->at[1] == '-';
    if (*last)
        return true;
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
    if (r->end - r->at < 2 || r->at[0] != '\r' || r->at[1] != '\n')
        return error_set(err, ERROR_INVALID, "the form is cut short behind a boundary");
    r->at += 2;
    return true;
}

static bool read_text(char out[HTTP_MULTIPART_TEXT_BYTES], const char *text, size_t len)
{
    while (len > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    if (len >= HTTP_MULTIPART_TEXT_BYTES || !utf8_is_text(text, len))
        return false;
    memcpy(out, text, len);
    out[len] = 0;
    return true;
}

static bool read_header(struct http_multipart_part *p, const char *line, size_t len,
                        struct error *err)
{
    static const char disposition[] = "content-disposition:", type[] = "content-type:";
    const size_t d = sizeof disposition - 1, t = sizeof type - 1;

    if (len >= t && strncasecmp(line, type, t) == 0)
        return read_text(p->type, line + t, len - t) ||
               error_set(err, ERROR_INVALID, "a part of the form has no sound Content-Type");
    if (len < d || strncasecmp(line, disposition, d) != 0)
        return true;
    if (!find_parameter(p->name, sizeof p->name, line + d, len - d, "name") ||
        !utf8_is_text(p->name, strlen(p->name)))
        return error_set(err, ERROR_INVALID,
                         "a part of the form has no name of at most %d bytes of UTF-8",
                         HTTP_MULTIPART_TEXT_BYTES - 1);
    p->is_file = find_parameter(p->file_name, sizeof p->file_name, line + d, len - d, "filename");
    if (!p->is_file || !utf8_is_text(p->file_name, strlen(p->file_name)))
        p->file_name[0] = 0;
    return true;
}

/* Lines up to an empty one. */
static bool read_head(struct reader *r, struct http_multipart_part *p, struct error *err)
{
    const char *begin = r->at;

    for (;;) {
        size_t left = (size_t)(r->end - r->at);
        const char *cr = memchr(r->at, '\r', left);
        if (!cr || r->end - cr < 2 || cr[1] != '\n' || cr - begin > HTTP_MULTIPART_HEAD_BYTES)
            return error_set(err, ERROR_INVALID,
                             "the headers of a part of the form do not end within %d bytes",
                             HTTP_MULTIPART_HEAD_BYTES);
        size_t len = (size_t)(cr - r->at);
        if (len > 0 && !read_header(p, r->at, len, err))
            return false;
        r->at = cr + 2;
        if (len == 0)
            break;
    }
    return p->name[0] != 0 || error_set(err, ERROR_INVALID,
                                        "a part of the form has no Content-Disposition with a "
                                        "name");
}

static bool add_part(struct http_multipart *m, const struct http_multipart_part *p,
                     struct error *err)
{
    bool is_full = m->n >= FIRST_PARTS && (m->n & (m->n - 1)) == 0; /* a power of two */

    if (m->n == HTTP_MULTIPART_MAX_PARTS)
        return error_set(err, ERROR_INVALID, "the form has more than %d parts",
                         HTTP_MULTIPART_MAX_PARTS);
    if (m->n == 0 || is_full) {
        size_t cap = m->n ? m->n * 2 : FIRST_PARTS;
        struct http_multipart_part *parts = realloc(m->parts, cap * sizeof *parts);
        if (!parts)
            return error_set(err, ERROR_MEMORY, "no memory for the form");
        m->parts = parts;
    }
    m->parts[m->n++] = *p;
    return true;
}

static bool begin(struct reader *r, const char *content_type, const void *body, size_t n_bytes,
                  struct error *err)
{
    char boundary[BOUNDARY_MAX_BYTES];

    if (!http_multipart_is(content_type) ||
        !find_parameter(boundary, sizeof boundary, content_type, strlen(content_type),
                        "boundary") ||
        !boundary[0])
        return error_set(err, ERROR_INVALID,
                         "the form's Content-Type has to be multipart/form-data with a boundary of "
                         "1 to %d characters",
                         BOUNDARY_MAX_BYTES - 1);
    snprintf(r->delimiter, sizeof r->delimiter, "\r\n--%s", boundary);
    r->delimiter_len = strlen(r->delimiter);
    r->at = body ? body : "";
    r->end = r->at + n_bytes;
    return skip_preamble(r, err);
}

bool http_multipart_read(struct http_multipart *out, const char *content_type, const void *body,
                         size_t n_bytes, struct error *err)
{
    struct reader r;
    bool last, ok;

    *out = (struct http_multipart){0};
    if (!begin(&r, content_type, body, n_bytes, err))
        return false;
    while ((ok = read_line_end(&r, &last, err)) && !last) {
        struct http_multipart_part p = {0};
        if (!(ok = read_head(&r, &p, err)))
            break;
        /* An empty part has its delimiter right behind the headers' empty line. */
        const char *end = find_delimiter(&r, r.at - 2);
        if (!end) {
            ok = error_set(err, ERROR_INVALID, "the part '%.60s' of the form does not end", p.name);
            break;
        }
        p.bytes = r.at;
        p.n_bytes = end > r.at ? (size_t)(end - r.at) : 0;
        r.at = end + r.delimiter_len;
        if (!(ok = add_part(out, &p, err)))
            break;
    }
    if (!ok)
        http_multipart_clear(out);
    return ok;
}

void http_multipart_clear(struct http_multipart *m)
{
    free(m->parts);
    *m = (struct http_multipart){0};
}

const struct http_multipart_part *http_multipart_find(const struct http_multipart *m,
                                                      const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->parts[i].name, name) == 0)
            return &m->parts[i];
    return NULL;
}
