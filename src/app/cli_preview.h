/* Small pictures of a run's state, written while it goes on. */
#ifndef APP_CLI_PREVIEW_H
#define APP_CLI_PREVIEW_H

#include "app/cli_flags.h"
#include "image/image.h"

enum { CLI_PREVIEW_PATH_BYTES = 4096 };

/* Zero: nobody asked for any. */
struct cli_preview {
    const char *file;                  /* borrowed; written anew each time; NULL: a file for each */
    char stem[CLI_PREVIEW_PATH_BYTES]; /* of the output */
    int every, steps, shown;           /* steps; steps is to be set before the run */
};

/* Checks the flags.  output is the first picture's path. */
bool cli_preview_init(struct cli_preview *out, const struct cli_options *o, const char *output,
                      struct error *err) MUST_CHECK;

/* Whether the step that done stands for wants a preview. */
bool cli_preview_is_due(struct cli_preview *p, double done);

/* Writes the preview that was due. */
bool cli_preview_write(const struct cli_preview *p, const struct image *small,
                       struct error *err) MUST_CHECK;

#endif
