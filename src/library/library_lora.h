/* The metadata of LoRA files: texts that trainers write into the header of safetensors files. */
#ifndef LIBRARY_LIBRARY_LORA_H
#define LIBRARY_LIBRARY_LORA_H

#include "library/library.h"

#include <jansson.h>

enum { LIBRARY_LORA_ALIAS_BYTES = 256 };

/* The object __metadata__ of the file at path, an empty one where there is none or the file is no
 * safetensors file.  The caller ends *out with json_decref. */
bool library_lora_read(json_t **out, const char *path, struct error *err) MUST_CHECK;

/* The name that its trainer gave it; "" without one that could be shown. */
void library_lora_alias(char out[LIBRARY_LORA_ALIAS_BYTES], const json_t *metadata);

/* sshs_model_hash: the hash over the tensors, as the trainer computed it; "" without one. */
void library_lora_claimed_hash(char out[LIBRARY_SHA256_BYTES], const json_t *metadata);

#endif
