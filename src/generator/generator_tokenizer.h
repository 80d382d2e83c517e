/* The vocabulary of a model that carries none, as single files do. */
#ifndef GENERATOR_GENERATOR_TOKENIZER_H
#define GENERATOR_GENERATOR_TOKENIZER_H

#include "generator/generator_find.h"

/* The tokenizer's folder to give pipeline_open: the one named by a flag; else none where the model
 * has its own; else the setting's; else one of another model in models_dir whose vocabulary fits:
 * of a folder there, or of any model that the library lists.  *out is NULL or room. */
bool generator_tokenizer_find(const char **out, char room[GENERATOR_MODEL_PATH_BYTES],
                              const struct generator_model *m, const struct generator_find *f,
                              const struct settings_origins *origins, struct error *err) MUST_CHECK;

#endif
