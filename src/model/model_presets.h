/* The sizes of well-known models, for tools and tests; running a model never needs them. */
#ifndef MODEL_MODEL_PRESETS_H
#define MODEL_MODEL_PRESETS_H

#include "model/model.h"

/* "sd15", "sdxl", "refiner", or small models in these layouts: "tiny", "tiny-sdxl",
 * "tiny-refiner".  Fills all but path, name
 * and tokenizers.  Returns false for other names. */
bool model_presets_find(struct model_info *out, const char *name);

#endif
