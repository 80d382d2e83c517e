/* `diffusionapi models`: what lies in the folders of models, LoRAs, upscalers, embeddings, VAEs. */
#ifndef APP_CLI_MODELS_H
#define APP_CLI_MODELS_H

#include "app/cli_flags.h"

#include <stdio.h>

bool cli_models_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
