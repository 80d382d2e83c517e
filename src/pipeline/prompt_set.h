/* What a request's prompts come to for one model: distinct texts as tokens and weights, and which
 * of them each answer of the UNet at each step is about.  Internal to pipeline/. */
#ifndef PIPELINE_PROMPT_SET_H
#define PIPELINE_PROMPT_SET_H

#include "pipeline/prompt_words.h"
#include "request/gen_request.h"
#include "text/prompt_compose.h"

enum { PROMPT_SET_MAX_PARTS = PROMPT_COMPOSE_MAX + 1 };

/* What the encoders see at once.  A model that lacks an encoder leaves its half unset. */
struct prompt_set_chunk {
    struct prompt_chunk of[2];
};

struct prompt_set {
    int n_negative_texts;  /* the first ones */
    int n_texts, n_chunks; /* every text has as many chunks, the last ones perhaps empty */
    struct prompt_set_chunk *chunks; /* owned; [n_texts][n_chunks] */
    int *same;       /* owned; the place of the first chunk that is equal, for each */
    int n_different; /* chunks; the others need not be encoded */
    int n_parts; /* texts of one answer: the negative prompt, where guided, then what AND divides */
    double weights[PROMPT_SET_MAX_PARTS]; /* of the parts behind the negative prompt */
    bool guided;                          /* part 0 is the negative prompt */
    int n_steps;
    int *texts;                /* owned; [n_steps][n_parts]: the text of each part */
    bool changes;              /* some step has another text than the first */
    struct prompt_words words; /* the ids behind the vocabularies' */
    size_t n_tokens[2];        /* of the longest text of the prompt and of the negative prompt */
};

/* What prompts are read with; all borrowed. */
struct prompt_source {
    const struct model_info *info;
    const struct tokenizer *tokenizer[2]; /* NULL where there is no such encoder */
    bool pads_with_zero;                  /* the second tokenizer is the first's: OpenCLIP pads 0 */
    const char *embeddings_dir;           /* NULL: none */
};

/* warnings may be NULL.  On true the caller clears *out. */
bool prompt_set_read(struct prompt_set *out, const struct prompt_source *from,
                     const struct gen_request *r, struct gen_warnings *warnings,
                     struct error *err) MUST_CHECK;

/* What the planner wants to know of it. */
struct gen_text_need prompt_set_need(const struct prompt_set *s);

/* Accepts zeroes. */
void prompt_set_clear(struct prompt_set *s);

#endif
