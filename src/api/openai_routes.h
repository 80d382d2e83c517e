/* OpenAI's image endpoints under /v1: what its official SDKs, Open WebUI, LibreChat and SillyTavern
 * ask for.  Same queue and same pictures as the native API. */
#ifndef API_OPENAI_ROUTES_H
#define API_OPENAI_ROUTES_H

#include "api/api.h"

extern const struct api_route openai_routes[];

#endif
