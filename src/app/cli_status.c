#include "app/cli_status.h"

#include <stdio.h>

static int exit_status(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return 0;
    case ERROR_INVALID:
    case ERROR_NOT_FOUND:
    case ERROR_CORRUPT:
    case ERROR_LIMIT:
        return 2;
    case ERROR_CANCELLED:
        return 130; /* what a shell says of a program ended by SIGINT */
    default:
        return 1;
    }
}

int cli_status_report(const struct error *err)
{
    struct error line = *err;

    for (char *c = line.text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' '; /* one line, whatever was quoted */
    fprintf(stderr, "diffusionapi: %s\n", line.text);
    return exit_status(line.code);
}
