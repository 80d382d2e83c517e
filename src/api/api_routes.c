#include "api/api_routes.h"

#include "api/api_native.h"
#include "api/api_page.h"
#include "api/openai_routes.h"
#include "api/sdapi_routes.h"
#include "http/http_query.h"

#include <stdio.h>
#include <string.h>

const struct api_routes api_routes_all[] = {
    {API_NATIVE, api_native_routes},
    {API_OPENAI, openai_routes},
    {API_SDAPI, sdapi_routes},
    {API_PAGE, api_page_routes},
    {.rows = NULL},
};

/* Compares one segment of the path, which ends at len, with one of the pattern. */
static bool segment_fits(struct api_routes_match *m, int *n, const char *pattern,
                         size_t pattern_len, const char *text, size_t len)
{
    char decoded[API_ARGUMENT_BYTES];

    if (!http_query_decode(decoded, sizeof decoded, text, len, false))
        return false;
    if (pattern[0] != '{')
        return strlen(decoded) == pattern_len && memcmp(pattern, decoded, pattern_len) == 0;
    if (len == 0 || *n == API_ARGUMENTS_MAX)
        return false;
    memcpy(m->argument[(*n)++], decoded, strlen(decoded) + 1);
    return true;
}

static bool path_fits(struct api_routes_match *m, const char *pattern, const char *path)
{
    int n = 0;

    for (;;) {
        size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");
        bool takes_rest = want > 2 && pattern[want - 2] == '*';
        if (takes_rest)
            have = strlen(path);
        if (!segment_fits(m, &n, pattern, want, path, have))
            return false;
        pattern += want;
        path += have;
        if (!*pattern)
            return !*path || strcmp(path, "/") == 0;
        if (!*path)
            return false;
        pattern++;
        path++;
    }
}

void api_routes_find(struct api_routes_match *out, const struct api_routes *all,
                     enum http_method method, const char *path)
{
    *out = (struct api_routes_match){.family = API_N_FAMILIES};
    for (; all->rows; all++)
        for (const struct api_route *r = all->rows; r->path; r++) {
            struct api_routes_match try = {0};
            if (!path_fits(&try, r->path + 1, path + 1))
                continue;
            out->methods |= r->method;
            if (out->family == API_N_FAMILIES)
                out->family = all->family;
            if (r->method == method && !out->route) {
                out->route = r;
                out->family = all->family;
                memcpy(out->argument, try.argument, sizeof out->argument);
            }
        }
}

void api_routes_allow(char *out, size_t room, unsigned methods)
{
    static const struct {
        enum http_method method;
        const char *name;
    } row[] = {{HTTP_GET, "GET, HEAD, "},
               {HTTP_POST, "POST, "},
               {HTTP_PUT, "PUT, "},
               {HTTP_PATCH, "PATCH, "},
               {HTTP_DELETE, "DELETE, "}};
    size_t used = 0;

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if ((methods & row[i].method) && used < room)
            used += (size_t)snprintf(out + used, room - used, "%s", row[i].name);
    if (used < room)
        snprintf(out + used, room - used, "OPTIONS");
}
