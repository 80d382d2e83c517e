/* The configuration of a TAESD (Ollin Boer Bohan's tiny autoencoder; diffusers' AutoencoderTiny),
 * told by the names and shapes of its tensors.
 *
 * Its halves are numbered sequences.  Encoder: a convolution, then by level residual blocks and a
 * convolution without bias that halves the sides, then the last convolution.  Decoder: a
 * convolution and a ReLU, then by level residual blocks, a doubling and a convolution without bias;
 * behind the last level's blocks stands the last convolution. */
#ifndef MODEL_MODEL_CONFIG_TINY_H
#define MODEL_MODEL_CONFIG_TINY_H

#include "model/model_index.h"

/* True when the VAE of x is one. */
bool model_config_tiny_is(const struct model_index *x);

/* Sizes from the tensors; scaling factor 1. */
bool model_config_tiny(struct vae_config *out, const struct model_index *x, const char *file,
                       struct error *err) MUST_CHECK;

#endif
