/* What model_inspect.c and model_vae.c may see beside the public part. */
#ifndef MODEL_MODEL_INTERNAL_H
#define MODEL_MODEL_INTERNAL_H

#include "model/model_files.h"

struct model {
    struct model_info info;
    struct model_index index;
    struct model_files files;
    char *path, *name, *tokenizer_dir[2]; /* what info borrows */
    struct model *vae;                    /* owned; stands in for the part of this name; or NULL */
    struct vae_config own_vae;            /* while it does */
};

/* The index that holds a part's tensors. */
const struct model_index *model_internal_index(const struct model *m, enum model_part part);

/* A model without files, its names made from path.  On true the caller owns *out. */
bool model_internal_new(struct model **out, const char *path, struct error *err) MUST_CHECK;

#endif
