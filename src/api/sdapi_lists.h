/* What is there, as AUTOMATIC1111's clients list it. */
#ifndef API_SDAPI_LISTS_H
#define API_SDAPI_LISTS_H

#include "api/api.h"

bool sdapi_lists_models(struct api_call *call, struct error *err);
bool sdapi_lists_vaes(struct api_call *call, struct error *err); /* also sd-modules */
bool sdapi_lists_loras(struct api_call *call, struct error *err);
bool sdapi_lists_embeddings(struct api_call *call, struct error *err);
bool sdapi_lists_upscalers(struct api_call *call, struct error *err);
bool sdapi_lists_latent_modes(struct api_call *call, struct error *err);
bool sdapi_lists_scripts(struct api_call *call, struct error *err);

/* What does not exist here: []. */
bool sdapi_lists_nothing(struct api_call *call, struct error *err);

/* POST refresh-...: looks at the folders again; null. */
bool sdapi_lists_refresh(struct api_call *call, struct error *err);

#endif
