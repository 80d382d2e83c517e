#include "api/api_routes.h"
#include "base/test.h"

#include <string.h>

static struct api_routes_match m;

static const struct api_route *find(enum http_method method, const char *path)
{
    api_routes_find(&m, api_routes_all, method, path);
    return m.route;
}

static void finds_routes_and_their_arguments(void)
{
    CHECK(find(HTTP_GET, "/hello") && m.family == API_NATIVE);
    CHECK(find(HTTP_GET, "/hello/") != NULL);
    CHECK(find(HTTP_GET, "/queue/abc/events") && strcmp(m.argument[0], "abc") == 0);
    CHECK(find(HTTP_GET, "/images/a%20b/3") && strcmp(m.argument[0], "a b") == 0 &&
          strcmp(m.argument[1], "3") == 0);
    CHECK(find(HTTP_GET, "/") && m.family == API_PAGE);
    CHECK(find(HTTP_GET, "/web/app.js") && m.family == API_PAGE);
    CHECK(find(HTTP_GET, "/docs") && m.family == API_NATIVE);
}

static void tells_unknown_paths_from_wrong_methods(void)
{
    static const char *const unknown[] = {"/nope",   "/hello/x",   "/queue/a/b",
                                          "/images", "/hell%6",    "/queue//events",
                                          "/%00",    "/queue/%ff", "/images/a/b/c"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        if (find(HTTP_GET, unknown[i]) || m.methods)
            fprintf(stderr, "%s\n", unknown[i]);
        CHECK(!find(HTTP_GET, unknown[i]) && m.methods == 0);
    }
    CHECK(!find(HTTP_POST, "/hello") && m.methods == HTTP_GET);
    CHECK(!find(HTTP_PUT, "/queue/x") && m.methods == (HTTP_GET | HTTP_DELETE));
}

static void takes_the_rest_of_a_path(void)
{
    static const struct api_route rows[] = {{HTTP_GET, "/v1/models/{id*}", NULL, 0, "", NULL},
                                            {.path = NULL}};
    const struct api_routes all[] = {{API_OPENAI, rows}, {.rows = NULL}};

    api_routes_find(&m, all, HTTP_GET, "/v1/models/org%2Fa/b");
    CHECK(m.route && strcmp(m.argument[0], "org/a/b") == 0);
    api_routes_find(&m, all, HTTP_GET, "/v1/models/");
    CHECK(!m.route);
}

/* Rows of tables must be whole, whoever adds them. */
static void every_row_is_sound(void)
{
    for (const struct api_routes *all = api_routes_all; all->rows; all++)
        for (const struct api_route *r = all->rows; r->path; r++) {
            size_t len = strlen(r->summary);
            CHECK(r->path[0] == '/' && r->handle && len > 0 && r->summary[len - 1] == '.');
        }
    char allow[80];
    api_routes_allow(allow, sizeof allow, HTTP_GET | HTTP_DELETE);
    CHECK(strcmp(allow, "GET, HEAD, DELETE, OPTIONS") == 0);
}

int main(void)
{
    finds_routes_and_their_arguments();
    tells_unknown_paths_from_wrong_methods();
    takes_the_rest_of_a_path();
    every_row_is_sound();
    return TEST_END();
}
