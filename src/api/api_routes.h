/* Finds the route of a request in the tables of all families. */
#ifndef API_API_ROUTES_H
#define API_API_ROUTES_H

#include "api/api.h"

struct api_routes_match {
    const struct api_route *route; /* NULL: no route of this method */
    enum api_family family;        /* of whatever has the path */
    unsigned methods;              /* enum http_method bits that the path has; 0: unknown path */
    char argument[API_ARGUMENTS_MAX][API_ARGUMENT_BYTES];
};

/* path as in http_request.  A blank at the end of the path is as good as none. */
void api_routes_find(struct api_routes_match *out, const struct api_routes *all,
                     enum http_method method, const char *path);

/* "GET, POST, OPTIONS" */
void api_routes_allow(char *out, size_t room, unsigned methods);

#endif
