/* Handlers that list what there is: models, LoRAs, upscalers, VAEs, embeddings, samplers. */
#ifndef API_API_NATIVE_LISTS_H
#define API_API_NATIVE_LISTS_H

#include "api/api.h"

bool api_native_lists_models(struct api_call *call, struct error *err);
bool api_native_lists_aliases(struct api_call *call, struct error *err);
bool api_native_lists_loras(struct api_call *call, struct error *err);
bool api_native_lists_upscalers(struct api_call *call, struct error *err);
bool api_native_lists_vaes(struct api_call *call, struct error *err);
bool api_native_lists_embeddings(struct api_call *call, struct error *err);
bool api_native_lists_samplers(struct api_call *call, struct error *err);

#endif
