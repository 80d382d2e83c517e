/* The size that a model was trained at. */
#ifndef MODEL_MODEL_NATIVE_H
#define MODEL_MODEL_NATIVE_H

#include "model/model.h"

/* Width and height in pixels, 64 to 2048: what the configuration of the UNet says, else the
 * family's. */
int model_native_side(const struct model_info *info);

#endif
