/* The description of the native API for programs, made from the tables of routes and fields. */
#ifndef API_API_OPENAPI_H
#define API_API_OPENAPI_H

#include "api/api.h"

/* Handler of GET /openapi.json. */
bool api_openapi_get(struct api_call *call, struct error *err);

/* The document; the caller owns it.  NULL: no memory. */
json_t *api_openapi_make(const struct api *api);

#endif
