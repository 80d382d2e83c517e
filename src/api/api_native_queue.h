/* Handlers of /queue and /images. */
#ifndef API_API_NATIVE_QUEUE_H
#define API_API_NATIVE_QUEUE_H

#include "api/api.h"

bool api_native_queue_list(struct api_call *call, struct error *err);
bool api_native_queue_get(struct api_call *call, struct error *err);
bool api_native_queue_delete(struct api_call *call, struct error *err);
bool api_native_queue_events(struct api_call *call, struct error *err);
bool api_native_queue_image(struct api_call *call, struct error *err);

#endif
