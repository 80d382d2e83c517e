/* POST /sdapi/v1/txt2img and img2img: submit, wait in the shared queue, answer. */
#ifndef API_SDAPI_IMAGES_H
#define API_SDAPI_IMAGES_H

#include "api/api.h"

bool sdapi_images_txt2img(struct api_call *call, struct error *err);
bool sdapi_images_img2img(struct api_call *call, struct error *err);

#endif
