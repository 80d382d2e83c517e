/* /v1/images/...: submits, waits in the shared queue, and answers as OpenAI does, at once or as a
 * stream of events. */
#ifndef API_OPENAI_IMAGES_H
#define API_OPENAI_IMAGES_H

#include "api/api.h"

bool openai_images_generate(struct api_call *call, struct error *err);
bool openai_images_edit(struct api_call *call, struct error *err);
bool openai_images_vary(struct api_call *call, struct error *err);

#endif
