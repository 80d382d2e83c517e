/* What --lora says: a path or a name, and perhaps a scale. */
#ifndef APP_CLI_LORA_H
#define APP_CLI_LORA_H

#include "app/cli_flags.h"
#include "request/gen_request.h"

enum { CLI_LORA_NAME_BYTES = 1024 };

/* Owns the name. */
struct cli_lora {
    char name[CLI_LORA_NAME_BYTES];
    double scale;
};

/* "NAME_OR_PATH[:SCALE]". */
bool cli_lora_parse(struct cli_lora *out, const char *text, struct error *err) MUST_CHECK;

#endif
