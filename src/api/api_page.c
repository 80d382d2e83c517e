#include "api/api_page.h"

#include "web/web.h"

#include <string.h>

static bool get_page(struct api_call *call, struct error *err)
{
    const struct web_file *f = web_find(call->argument[0]);
    const char *known = http_request_header(call->request, "If-None-Match");

    if (!f)
        return api_fail(call, err, 404, NULL, "Not Found");
    if (known && strcmp(known, f->etag) == 0)
        http_reply_empty(call->reply, 304);
    else
        http_reply_bytes(call->reply, 200, f->content_type, f->bytes, f->n_bytes);
    http_reply_header(call->reply, "ETag", "%s", f->etag);
    http_reply_header(call->reply, "Cache-Control", "no-cache");
    http_reply_header(call->reply, "X-Content-Type-Options", "nosniff");
    http_reply_header(call->reply, "Referrer-Policy", "no-referrer");
    http_reply_header(call->reply, "Content-Security-Policy",
                      "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri "
                      "'none'; frame-ancestors 'none'");
    return true;
}

/* Open to everybody, because the page is what asks for the key. */
const struct api_route api_page_routes[] = {
    {HTTP_GET, "/", get_page, API_OPEN, "The page.", NULL},
    {HTTP_GET, "/{file}", get_page, API_OPEN, "Its files.", NULL},
    {.path = NULL},
};
