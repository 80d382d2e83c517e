/* Handlers that tell about the server and its machine. */
#ifndef API_API_NATIVE_SYSTEM_H
#define API_API_NATIVE_SYSTEM_H

#include "api/api.h"

bool api_native_system_hello(struct api_call *call, struct error *err);
bool api_native_system_health(struct api_call *call, struct error *err);
bool api_native_system_metrics(struct api_call *call, struct error *err);
bool api_native_system_memory(struct api_call *call, struct error *err);
bool api_native_system_unload(struct api_call *call, struct error *err);

#endif
