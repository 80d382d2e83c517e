/* The native API: the original's endpoints, and what it lacked.  docs/api.md describes them. */
#ifndef API_API_NATIVE_H
#define API_API_NATIVE_H

#include "api/api.h"

extern const struct api_route api_native_routes[];

#endif
