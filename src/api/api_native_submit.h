/* Handlers of POST /txt2img, /img2img and /plan. */
#ifndef API_API_NATIVE_SUBMIT_H
#define API_API_NATIVE_SUBMIT_H

#include "api/api.h"

bool api_native_submit_txt2img(struct api_call *call, struct error *err);
bool api_native_submit_img2img(struct api_call *call, struct error *err);
bool api_native_submit_plan(struct api_call *call, struct error *err);

#endif
