#include "api/api_docs.h"

#include "api/api_routes.h"
#include "api/api_schema.h"
#include "api/api_submit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX_BYTES = 1 << 20 };

static void add(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add(struct buf *out, const char *fmt, ...)
{
    char text[2048];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0)
        buf_add(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* Text of ours, which may hold < and &. */
static void add_text(struct buf *out, const char *text)
{
    for (; *text; text++) {
        const char *as = *text == '<'   ? "&lt;"
                         : *text == '&' ? "&amp;"
                         : *text == '"' ? "&quot;"
                                        : NULL;
        if (as)
            buf_add(out, as, strlen(as));
        else
            buf_add(out, text, 1);
    }
}

static const char head[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\"><title>DiffusionAPI</title><style>"
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2"
    "rem auto;padding:0 1rem}code,h2{font-family:ui-monospace,monospace}h2{font-size:1.05rem;"
    "margin-top:2rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align"
    ":top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8884}td:first-child{white-space:"
    "nowrap}</style><h1>DiffusionAPI</h1><p>The same for programs: <a href=\"openapi.json\">"
    "openapi.json</a>. Errors are <code>{\"status\": \"error\", \"detail\": text}</code>.";

static void add_row(struct buf *out, const char *object, const char *key, const char *type,
                    const char *fallback, const char *help)
{
    add(out, "<tr><td><code>%s%s%s</code><td>%s<td><code>", object ? object : "", object ? "." : "",
        key, type);
    add_text(out, fallback);
    add(out, "</code><td>");
    add_text(out, help);
}

static void add_schema(struct buf *out, const struct api_schema *s)
{
    add(out, "<table><tr><th>field<th>type<th>default<th>meaning");
    for (const struct api_schema_field *f = s->own; f->key; f++)
        add_row(out, NULL, f->key, f->type, f->required ? "required" : f->fallback, f->help);
    for (const struct gen_job_field *f = gen_job_fields; f->key; f++) {
        if (!api_schema_has(s, f))
            continue;
        json_t *value = gen_job_field_default(f);
        char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10)) : NULL;
        add_row(out, f->object, f->key, api_schema_type(f), text ? text : "null", f->help);
        free(text);
        json_decref(value);
    }
    add(out, "</table>");
}

bool api_docs_get(struct api_call *call, struct error *err)
{
    struct buf out;
    (void)err;

    buf_init(&out, PAGE_MAX_BYTES);
    buf_add(&out, head, sizeof head - 1);
    for (const struct api_routes *all = api_routes_all; all->rows; all++)
        for (const struct api_route *r = all->rows; r->path && all->family != API_PAGE; r++) {
            struct http_request named = {.method = r->method};
            add(&out, "<h2>%s %s</h2><p>", http_request_method_name(&named), r->path);
            add_text(&out, r->summary);
            const struct api_schema *s = r->body ? api_schema_find(r->body) : NULL;
            if (s)
                add_schema(&out, s);
        }
    http_reply_take(call->reply, 200, "text/html; charset=utf-8", &out);
    http_reply_header(call->reply, "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'");
    return true;
}
