/* Memory, the server's flags, and the model in memory, for AUTOMATIC1111's clients. */
#ifndef API_SDAPI_SYSTEM_H
#define API_SDAPI_SYSTEM_H

#include "api/api.h"

bool sdapi_system_memory(struct api_call *call, struct error *err);
bool sdapi_system_flags(struct api_call *call, struct error *err);
bool sdapi_system_unload(struct api_call *call, struct error *err);

/* A model is loaded by the first job that needs it: {}. */
bool sdapi_system_reload(struct api_call *call, struct error *err);

#endif
