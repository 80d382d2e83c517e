/* An upscaler on disk: RRDBNet (Wang et al. 2018, "ESRGAN"; Real-ESRGAN's variant with folded
 * pixels) from safetensors or PyTorch files, in both spellings of its tensors.
 *
 * The configuration follows from the tensors' shapes.  A file that holds anything but exactly such
 * a network is refused with the name of the first tensor that says so. */
#ifndef MODEL_UPSCALER_FILE_H
#define MODEL_UPSCALER_FILE_H

#include "base/error.h"
#include "model/tensor_info.h"

enum {
    UPSCALER_FILE_MAX_WIDTH = 1024,
    UPSCALER_FILE_MAX_BLOCKS = 64,
    UPSCALER_FILE_MAX_UPS = 3,
    UPSCALER_FILE_PATH_BYTES = 4096
};

struct upscaler_config {
    int width;  /* features of the trunk */
    int growth; /* features that each convolution of a dense block adds */
    int blocks; /* residual-in-residual dense blocks */
    int ups;    /* doublings at the end */
    int fold;   /* 1, 2 or 4: fold x fold pixels become the channels of one place at the start */
};

/* Sides of the result over those of the picture: 1, 2, 4 or 8. */
static inline int upscaler_config_scale(const struct upscaler_config *c)
{
    return (1 << c->ups) / c->fold;
}

struct upscaler_file; /* an open file, memory mapped; one owner, read by many threads */

/* Errors begin with path.  On true the caller owns *out. */
bool upscaler_file_open(struct upscaler_file **out, const char *path, struct error *err) MUST_CHECK;
void upscaler_file_close(struct upscaler_file *f); /* accepts NULL */

const struct upscaler_config *upscaler_file_config(const struct upscaler_file *f);
/* The file's name without its ending. */
const char *upscaler_file_name(const struct upscaler_file *f);

/* A tensor by the newer spelling ("body.0.rdb1.conv1.weight"), whatever the file's own is.  NULL
 * when the network has none of that name. */
const struct tensor_info *upscaler_file_find(const struct upscaler_file *f, const char *name);

/* The file of a name in the folder: with one of the endings that such files have, or without it.  A
 * name is one file's: what holds a slash, a backslash or a control character, or begins with a
 * point, is refused.  ERROR_NOT_FOUND when there is no such file. */
bool upscaler_file_path(char out[UPSCALER_FILE_PATH_BYTES], const char *dir, const char *name,
                        struct error *err) MUST_CHECK;

#endif
