/* Spellings of tensor names: from those of single-file checkpoints (LDM, SGM, OpenCLIP) and old
 * diffusers files to today's diffusers names, which everything else uses.
 *
 * Single files number blocks through all levels, so the numbering has to be known first: show every
 * name to tensor_names_measure, then map. */
#ifndef MODEL_TENSOR_NAMES_H
#define MODEL_TENSOR_NAMES_H

#include "model/model.h"

enum { TENSOR_NAMES_BYTES = 160, TENSOR_NAMES_MAX_TARGETS = 3 };

/* Zero before the first name is measured. */
struct tensor_names_layout {
    int first_op;     /* first input block that downsamples; 0: none seen */
    int input_blocks; /* one more than the largest number seen */
    int vae_levels;
};

struct tensor_names_target {
    enum model_part part;
    char name[TENSOR_NAMES_BYTES]; /* diffusers spelling */
    int slice, n_slices;           /* rows slice/n_slices to (slice+1)/n_slices of the tensor */
    bool transposed;
};

void tensor_names_measure(struct tensor_names_layout *l, const char *name);

/* Returns how many targets the tensor has: 0 when it is no part of the model (EMA copies, training
 * state), 3 for OpenCLIP's fused query, key and value. */
int tensor_names_map(const struct tensor_names_layout *l, const char *name,
                     struct tensor_names_target out[TENSOR_NAMES_MAX_TARGETS]);

/* The other way: how a single file of info's family and sizes spells a diffusers name.  Returns
 * false for names it does not have and for the q_proj, k_proj and v_proj of OpenCLIP, which are one
 * tensor there. */
bool tensor_names_spell(const struct model_info *info, enum model_part part, const char *name,
                        char out[TENSOR_NAMES_BYTES]);

/* Text encoders in OpenCLIP's spelling use gelu, the others quick_gelu. */
bool tensor_names_is_open_clip(const char *name);

/* Rewrites what other versions of diffusers and transformers call a tensor of the part (query, key,
 * value and proj_attn of the VAE; text encoders without "text_model.").  Returns false when the
 * name is too long for out. */
bool tensor_names_modernize(enum model_part part, const char *name, char out[TENSOR_NAMES_BYTES]);

#endif
