/* Small pictures of a run's state, written while it goes on. */
#ifndef APP_CLI_PREVIEW_H
#define APP_CLI_PREVIEW_H

#include "app/cli_flags.h"
#include "pipeline/preview.h"

enum { CLI_PREVIEW_PATH_BYTES = 4096 };

/* Zero: nobody asked for any. */
struct cli_preview {
    struct preview *preview;           /* owned */
    FILE *to;                          /* borrowed; where a failure is told */
    const char *file;                  /* borrowed; written anew each time; NULL: a file for each */
    char stem[CLI_PREVIEW_PATH_BYTES]; /* of the output */
    int every, steps, shown;           /* steps */
};

/* Checks the flags and opens the decoder: the run's own VAE where that is a TAESD, else one called
 * taesd in vae_dir, else the linear estimate.  vae_path is the VAE that was set, or NULL; output
 * the first picture's path. */
bool cli_preview_open(struct cli_preview *out, const struct cli_options *o, const struct model *m,
                      const char *vae_path, const char *output, struct backend *b, FILE *to,
                      struct error *err) MUST_CHECK;

/* What the plan has to leave. */
size_t cli_preview_bytes(const struct cli_preview *p);

/* A watch's `denoised`, but for its own context.  A preview that cannot be made is told once and
 * does not stop the run. */
void cli_preview_show(struct cli_preview *p, const float *latent, int w, int h, double done);

/* Accepts zeroes. */
void cli_preview_close(struct cli_preview *p);

#endif
