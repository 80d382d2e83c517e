#include "api/api_page.h"

#include "web/web.h"

#include <string.h>

/* Only what the server itself sends runs or is shown; data: and blob: are pictures that the page
 * was given or fetched with a key.  The form sends nothing by itself, and nobody may frame it. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/* Is etag in the list that a client sent?  "*" stands for any. */
static bool is_known(const char *list, const char *etag)
{
    return list && (strstr(list, etag) || strcmp(list, "*") == 0);
}

static bool reply_file(struct api_call *call, const char *path, struct error *err)
{
    const struct web_file *file = web_find(path);
    struct http_reply *reply = call->reply;

    if (!file)
        return error_set(err, ERROR_NOT_FOUND, "the page has no file '%s'", path);
    if (is_known(http_request_header(call->request, "If-None-Match"), file->etag))
        http_reply_empty(reply, 304);
    else
        http_reply_bytes(reply, 200, file->content_type, file->bytes, file->n_bytes);
    /* Kept, but asked for each time: the next version of the program has other files. */
    http_reply_header(reply, "Cache-Control", "no-cache");
    http_reply_header(reply, "ETag", "%s", file->etag);
    http_reply_header(reply, "Content-Security-Policy", "%s", policy);
    http_reply_header(reply, "X-Content-Type-Options", "nosniff");
    http_reply_header(reply, "Referrer-Policy", "no-referrer");
    return true;
}

static bool get_page(struct api_call *call, struct error *err)
{
    return reply_file(call, "", err);
}

static bool get_file(struct api_call *call, struct error *err)
{
    return reply_file(call, call->argument[0], err);
}

/* Open: the page itself asks for the key. */
const struct api_route api_page_routes[] = {
    {HTTP_GET, "/", get_page, API_OPEN, "The page.", NULL},
    {HTTP_GET, "/web/{file}", get_file, API_OPEN, "A file of the page.", NULL},
    {.path = NULL},
};
