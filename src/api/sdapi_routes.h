/* AUTOMATIC1111's API under /sdapi/v1: what Open WebUI, SillyTavern, LibreChat, the Photoshop
 * plugin and client libraries ask for.  Same queue and same pictures as the native API. */
#ifndef API_SDAPI_ROUTES_H
#define API_SDAPI_ROUTES_H

#include "api/api.h"

extern const struct api_route sdapi_routes[];

#endif
