#include "api/api_page.h"
#include "base/test.h"
#include "web/web.h"

#include <string.h>

static const char *header(const struct http_reply *reply, const char *name)
{
    for (int i = 0; i < reply->n_headers; i++)
        if (strcmp(reply->headers[i].name, name) == 0)
            return reply->headers[i].value;
    return "";
}

/* Asks the route of this pattern for argument; known is the value of If-None-Match, or NULL. */
static bool ask(struct http_reply *reply, const char *pattern, const char *argument,
                const char *known, struct error *err)
{
    const struct http_pair headers[] = {{"If-None-Match", known ? known : ""}};
    const struct http_request request = {
        .method = HTTP_GET, .path = "/", .headers = headers, .n_headers = known ? 1 : 0};
    struct api_call call = {.request = &request, .reply = reply};

    *reply = (struct http_reply){0};
    snprintf(call.argument[0], sizeof call.argument[0], "%s", argument);
    for (const struct api_route *r = api_page_routes; r->path; r++)
        if (strcmp(r->path, pattern) == 0)
            return r->handle(&call, err);
    return false;
}

static void sends_the_page_with_its_policy(void)
{
    const struct web_file *page = web_find("");
    struct http_reply reply;
    struct error err = {0};

    CHECK(ask(&reply, "/", "", NULL, &err));
    CHECK(reply.status == 200 && reply.n_bytes == page->n_bytes);
    CHECK(strcmp(reply.content_type, "text/html; charset=utf-8") == 0);
    CHECK(strstr(header(&reply, "Content-Security-Policy"), "default-src 'none'"));
    CHECK(!strstr(header(&reply, "Content-Security-Policy"), "unsafe"));
    CHECK(strcmp(header(&reply, "X-Content-Type-Options"), "nosniff") == 0);
    CHECK(strcmp(header(&reply, "ETag"), page->etag) == 0);
    http_reply_clear(&reply);
}

static void sends_nothing_that_the_client_has(void)
{
    static const struct {
        const char *file, *known; /* NULL: the file's own */
        int status;
    } row[] = {
        {"app.js", NULL, 304},
        {"app.js", "*", 304},
        {"app.js", "\"another\"", 200},
        {"base.css", "\"another\", \"and one more\"", 200},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct web_file *file = web_find(row[i].file);
        struct http_reply reply;
        struct error err = {0};
        CHECK(ask(&reply, "/web/{file}", row[i].file, row[i].known ? row[i].known : file->etag,
                  &err));
        CHECK(reply.status == row[i].status);
        CHECK(reply.n_bytes == (row[i].status == 304 ? 0 : file->n_bytes));
        CHECK(strcmp(header(&reply, "ETag"), file->etag) == 0);
        http_reply_clear(&reply);
    }
}

static void knows_no_other_files(void)
{
    static const char *const foreign[] = {"nothing.js", "..", "../index.html", "APP.JS"};

    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        struct http_reply reply;
        struct error err = {0};
        CHECK(!ask(&reply, "/web/{file}", foreign[i], NULL, &err));
        CHECK(err.code == ERROR_NOT_FOUND);
        http_reply_clear(&reply);
    }
}

int main(void)
{
    sends_the_page_with_its_policy();
    sends_nothing_that_the_client_has();
    knows_no_other_files();
    return TEST_END();
}
