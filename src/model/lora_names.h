/* Spellings of tensor names in LoRA files, brought to one: the part of the model, the module's name
 * with underscores for points, and what the tensor is to it.
 *
 * Known: kohya (lora_unet_..., lora_te_, lora_te1_, lora_te2_), with diffusers or LDM names of the
 * UNet; peft (unet.X.lora_A.weight, base_model.model.X...); diffusers' own of several ages
 * (X.lora.down.weight, X.lora_linear_layer.down.weight, processor.to_q_lora.down.weight). */
#ifndef MODEL_LORA_NAMES_H
#define MODEL_LORA_NAMES_H

#include "model/model.h"

enum { LORA_NAMES_BYTES = 200 };

/* What a tensor is to its module. */
enum lora_role {
    LORA_DOWN,
    LORA_UP,
    LORA_ALPHA,
    LORA_MID,   /* from here on what this program does not apply: CP-decomposed convolutions */
    LORA_DORA,  /* magnitudes of weight-decomposed adaptation */
    LORA_LOHA,  /* Hadamard products */
    LORA_LOKR,  /* Kronecker products */
    LORA_OTHER, /* other adapters: whole differences, orthogonal ones, biases */
    LORA_ROLES
};

struct lora_names_name {
    enum lora_role role;
    bool part_known;
    enum model_part part;
    char module[LORA_NAMES_BYTES]; /* down_blocks_0_attentions_0_..._to_q, or LDM's name so */
    size_t key_bytes;              /* of the file's own spelling: what stands before the role */
};

/* Returns false for names that say nothing about an adapter, or are too long. */
bool lora_names_parse(const char *tensor, struct lora_names_name *out);

/* The names that a weight of a model goes by in LoRA files, ".weight" left out: the diffusers name,
 * and the LDM name where single files have one.  Returns how many; 0 for weights that low-rank
 * deltas are not applied to (vectors, embeddings and the text projection). */
int lora_names_spell(const struct model_info *info, enum model_part part, const char *weight,
                     int n_dims, char out[2][LORA_NAMES_BYTES]);

#endif
