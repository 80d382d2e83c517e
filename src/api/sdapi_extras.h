/* POST /sdapi/v1/extra-single-image, extra-batch-images and png-info. */
#ifndef API_SDAPI_EXTRAS_H
#define API_SDAPI_EXTRAS_H

#include "api/api.h"

bool sdapi_extras_single(struct api_call *call, struct error *err);
bool sdapi_extras_batch(struct api_call *call, struct error *err);
bool sdapi_extras_png_info(struct api_call *call, struct error *err);

#endif
