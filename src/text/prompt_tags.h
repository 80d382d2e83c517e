/* <lora:name:0.8> and its like in a prompt: taken out of the text and listed.
 *
 * Knows no files: whether there is such a LoRA is for the caller to find out. */
#ifndef TEXT_PROMPT_TAGS_H
#define TEXT_PROMPT_TAGS_H

#include "base/error.h"

#include <stddef.h>

enum { PROMPT_TAGS_MAX = 256, PROMPT_TAGS_MAX_STRENGTH = 100 };

struct prompt_lora {
    char *name;           /* owned, as written */
    double text_strength; /* for the text encoders */
    double unet_strength;
};

struct prompt_tags {
    char *prompt;              /* owned; without any tag */
    struct prompt_lora *loras; /* owned; n_loras of them, as they stand in the prompt */
    int n_loras;
    char **warnings; /* owned; one sentence for each tag, or part of one, that does nothing */
    int n_warnings;
};

/* Takes out what has the form <word:anything>.
 *
 *     <lora:name>  <lora:name:0.8>       one strength for all, 1 when it is not written
 *     <lora:name:0.8:0.5>                text encoders, UNet; also te=0.8 and unet=0.5
 *
 * Others, and LoRAs whose strength is no number from -100 to 100, give a warning.  More than
 * PROMPT_TAGS_MAX are ERROR_LIMIT.  On true the caller clears *out. */
bool prompt_tags_extract(struct prompt_tags *out, const char *prompt, struct error *err) MUST_CHECK;

void prompt_tags_clear(struct prompt_tags *t);

#endif
