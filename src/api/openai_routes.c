#include "api/openai_routes.h"

#include "api/openai_images.h"
#include "api/openai_models.h"

const struct api_route openai_routes[] = {
    {HTTP_GET, "/v1/models", openai_models_list, 0, "Lists the installed models (OpenAI).", NULL},
    {HTTP_GET, "/v1/models/{id*}", openai_models_get, 0, "Tells of one model (OpenAI).", NULL},
    {HTTP_POST, "/v1/images/generations", openai_images_generate, 0,
     "Makes pictures from a prompt (OpenAI).", NULL},
    {HTTP_POST, "/v1/images/edits", openai_images_edit, 0,
     "Makes pictures from a prompt and a picture (OpenAI).", NULL},
    {HTTP_POST, "/v1/images/variations", openai_images_vary, 0,
     "Makes pictures like a picture (OpenAI).", NULL},
    {.path = NULL},
};
