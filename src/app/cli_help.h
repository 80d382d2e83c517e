/* The commands that only print: help, version, samplers, settings. */
#ifndef APP_CLI_HELP_H
#define APP_CLI_HELP_H

#include "app/cli_flags.h"

#include <stdio.h>

/* All commands, or one of them with its flags. */
void cli_help_print(FILE *to, const struct cli_command *command);

void cli_help_print_samplers(FILE *to);

/* Every setting's value and origin. */
void cli_help_print_settings(FILE *to, const struct cli_options *o);

/* "0.1.0" */
const char *cli_help_version(void);

#endif
