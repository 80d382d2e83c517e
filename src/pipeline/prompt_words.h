/* The textual inversions that a request's prompts name, from a folder of files and folders:
 * x.safetensors or x.pt is the word x, wherever it lies there.  A link that leads out of the folder
 * is not followed.  Internal to pipeline/. */
#ifndef PIPELINE_PROMPT_WORDS_H
#define PIPELINE_PROMPT_WORDS_H

#include "model/model.h"
#include "request/gen_warnings.h"
#include "text/prompt_chunks.h"

enum { PROMPT_WORDS_MAX = 64 };

struct prompt_words {
    int n;
    struct prompt_word *words[2]; /* owned; n of them for each encoder */
    int n_vectors;                /* of all words */
    float
        *rows[2]; /* owned; [n_vectors][width] of each encoder: the ids from its vocabulary's end */
};

/* Reads the files of dir (NULL or missing: none) whose names are words of one of the texts.  What
 * does not fit the model gives a warning and stays ordinary text.  warnings may be NULL.  On true
 * the caller clears *out. */
bool prompt_words_read(struct prompt_words *out, const char *dir, const char *const texts[2],
                       const struct model_info *info, const struct tokenizer *const tokenizer[2],
                       struct gen_warnings *warnings, struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void prompt_words_clear(struct prompt_words *w);

#endif
