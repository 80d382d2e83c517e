/* Finds VAEs by name in their folder. */
#ifndef MODEL_MODEL_VAE_FIND_H
#define MODEL_MODEL_VAE_FIND_H

#include "model/model.h"

enum { MODEL_VAE_FIND_PATH_BYTES = 4096 };

/* A folder or file of dir called name, with or without one of the endings of weights files, or the
 * decoder of a TAESD in its authors' spelling (name_decoder.safetensors).  "taesd" means "taesdxl"
 * where the family's latents are SDXL's.  A name never leads out of dir; ERROR_NOT_FOUND tells what
 * dir holds. */
bool model_vae_find(char out[MODEL_VAE_FIND_PATH_BYTES], const char *name, const char *dir,
                    enum model_family family, struct error *err) MUST_CHECK;

#endif
