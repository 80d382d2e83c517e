/* Where pictures go: names, and checks before anything is computed. */
#ifndef APP_CLI_OUTPUT_H
#define APP_CLI_OUTPUT_H

#include "base/error.h"

enum { CLI_OUTPUT_PATH_BYTES = 4096 };

struct cli_output {
    char name[CLI_OUTPUT_PATH_BYTES]; /* as asked for; a batch puts -1, -2, ... before its ending */
    int n_images;
    int first; /* number of the first picture when the names are ours; 0 otherwise */
};

/* name NULL: picture-N.png in the current folder, with numbers that no file has.  Checks format,
 * folder and permission. */
bool cli_output_init(struct cli_output *out, const char *name, int n_images,
                     struct error *err) MUST_CHECK;

/* The path of picture i. */
bool cli_output_path(char path[CLI_OUTPUT_PATH_BYTES], const struct cli_output *o, int i,
                     struct error *err) MUST_CHECK;

#endif
