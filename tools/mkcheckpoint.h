/* What the two halves of mkcheckpoint share. */
#ifndef TOOLS_MKCHECKPOINT_H
#define TOOLS_MKCHECKPOINT_H

#include "model/model.h"

/* Writes model_index.json, the config.json of each part and scheduler_config.json into dir, whose
 * folders exist. */
bool mkcheckpoint_config_write(const struct model_info *info, const char *dir,
                               struct error *err) MUST_CHECK;

#endif
