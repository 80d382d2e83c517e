/* What --lora says: a path or a name, and perhaps a scale. */
#ifndef APP_CLI_LORA_H
#define APP_CLI_LORA_H

#include "app/cli_flags.h"
#include "request/gen_request.h"

enum { CLI_LORA_NAME_BYTES = 1024 };

/* Owns the names; a request borrows them. */
struct cli_lora {
    char name[CLI_LORA_NAME_BYTES];
    bool is_path;
    double scale;
};

/* "NAME_OR_PATH[:SCALE]".  What holds a slash is a path; another word is a name in loras_dir, and a
 * file of this folder only where there is no such name. */
bool cli_lora_parse(struct cli_lora *out, const char *text, const char *loras_dir,
                    struct error *err) MUST_CHECK;

/* Parses all of o's into room and puts them into the request, which borrows room. */
bool cli_lora_take(struct gen_request *r, struct cli_lora room[CLI_MAX_LORAS],
                   const struct cli_options *o, struct error *err) MUST_CHECK;

#endif
