/* The LoRAs that a request asks for: in its list, and as <lora:name:0.8> in its prompt. */
#ifndef PIPELINE_PIPELINE_LORAS_H
#define PIPELINE_PIPELINE_LORAS_H

#include "model/lora_set.h"
#include "request/gen_request.h"

/* Opens them for one model.  place may be NULL: there are none.  Names in a prompt never are paths.
 * The caller ends *out with lora_set_clear. */
void pipeline_loras_open(struct lora_set *out, const struct gen_request *r,
                         const struct lora_set_place *place, const struct model_info *info);

/* Those in use as "name:scale, name:scale", cut off where there is no room; "" for none. */
void pipeline_loras_write(char *out, size_t room, const struct lora_set *s);

#endif
