/* "a AND b :0.8": several prompts for one picture, each with a weight (Liu et al. 2022, composable
 * diffusion).  The network answers each; the sum of what each adds to the negative prompt's answer,
 * times its weight, is what guides. */
#ifndef TEXT_PROMPT_COMPOSE_H
#define TEXT_PROMPT_COMPOSE_H

#include "base/error.h"

#include <stddef.h>

enum { PROMPT_COMPOSE_MAX = 16 };

#define PROMPT_COMPOSE_MAX_WEIGHT 100.0

struct prompt_composed {
    const char *text; /* borrowed from the prompt */
    size_t len;
    double weight;
};

/* Cuts the prompt at each AND that is a word of its own and takes ":number" from the end of each
 * part; 1 where there is none.  A prompt without AND is one part, the whole of it, of weight 1
 * (where AUTOMATIC1111 would take a number from its end too).  Writes to out, which has room for
 * PROMPT_COMPOSE_MAX; more are ERROR_LIMIT, a weight too large is ERROR_INVALID. */
bool prompt_compose_split(struct prompt_composed *out, int *n, const char *prompt, size_t len,
                          struct error *err) MUST_CHECK;

#endif
