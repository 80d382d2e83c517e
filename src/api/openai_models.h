/* /v1/models, and which model a request of OpenAI's clients means. */
#ifndef API_OPENAI_MODELS_H
#define API_OPENAI_MODELS_H

#include "api/api.h"

struct library_entry;

bool openai_models_list(struct api_call *call, struct error *err);
bool openai_models_get(struct api_call *call, struct error *err);

/* The model of this name or label.  NULL and "" are the server's default, and so are names that
 * begin with a word of the setting openai_aliases ("dall-e-3"), unless a model is called so.  Any
 * other unknown name fails with 404.  The caller ends *out with library_entry_free. */
bool openai_models_find(struct api_call *call, const char *name, const struct library_entry **out,
                        struct error *err) MUST_CHECK;

#endif
