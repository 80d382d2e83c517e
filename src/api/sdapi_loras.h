/* LoRAs in requests to /sdapi/v1: tags in the prompt are the prompt's own business; here is what
 * stands beside it. */
#ifndef API_SDAPI_LORAS_H
#define API_SDAPI_LORAS_H

#include "api/sdapi_request.h"

/* The list "lora" of stable-diffusion.cpp's clients, [{"path", "multiplier"}], and what
 * disable_extra_networks takes out of the prompts. */
bool sdapi_loras_write(struct sdapi_request *r, struct api_call *call, const json_t *body,
                       struct error *err) MUST_CHECK;

#endif
