/* What model_inspect.c may see beside the public part. */
#ifndef MODEL_MODEL_INTERNAL_H
#define MODEL_MODEL_INTERNAL_H

#include "model/model_files.h"

struct model {
    struct model_info info;
    struct model_index index;
    struct model_files files;
    char *path, *name, *tokenizer_dir[2]; /* what info borrows */
};

#endif
