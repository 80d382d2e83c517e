/* The command lora-check: which LoRAs fit a model. */
#ifndef APP_CLI_LORA_CHECK_H
#define APP_CLI_LORA_CHECK_H

#include "app/cli_flags.h"

#include <stdio.h>

/* Prints a line for each LoRA, and a second one for what does not fit.  Returns false, with an
 * error that counts them, when any does not fit or cannot be read. */
bool cli_lora_check_run(const struct cli_options *o, FILE *to, struct error *err) MUST_CHECK;

#endif
