/* Where pictures go: names, checks before anything is computed, and the infotext inside them. */
#ifndef APP_CLI_OUTPUT_H
#define APP_CLI_OUTPUT_H

#include "image/image.h"
#include "model/model.h"
#include "request/gen_request.h"

enum { CLI_OUTPUT_PATH_BYTES = 4096 };

struct cli_output {
    char name[CLI_OUTPUT_PATH_BYTES]; /* as asked for; a batch puts -1, -2, ... before its ending */
    int n_images;
    int first; /* number of the first picture when the names are ours; 0 otherwise */
    int jpeg_quality;
    const char *refiner;     /* its name where it draws, or NULL */
    char requested_size[40]; /* "2048x2048" where pictures became smaller, else "" */
    char loras[1024];        /* those in use, as infotext lists them; "": none */
};

/* name NULL: picture-N.png in the current folder, with numbers that no file has.  Checks format,
 * folder and permission. */
bool cli_output_init(struct cli_output *out, const char *name, int n_images, int jpeg_quality,
                     struct error *err) MUST_CHECK;

/* The path of picture i. */
bool cli_output_path(char path[CLI_OUTPUT_PATH_BYTES], const struct cli_output *o, int i,
                     struct error *err) MUST_CHECK;

/* Writes picture i whole or not at all. */
bool cli_output_save(const struct cli_output *o, int i, const struct image *image,
                     const struct gen_request *r, const struct model_info *model,
                     struct error *err) MUST_CHECK;

#endif
