/* CLIP's tokenizer: a prompt's text to the ids its text encoder was trained with.
 *
 * Like transformers' CLIPTokenizer without ftfy: NFC, white space as one space, lower case, words
 * by CLIP's pattern, bytes, byte pairs.  Prompt syntax such as (weights:1.2) is not its business.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TOKENIZER_LENGTH = 77,           /* ids a text encoder takes: bos, up to 75 of the text, eos */
    TOKENIZER_MAX_TEXT_BYTES = 65536 /* of one text */
};

struct tokenizer; /* constant once open; used by many threads */

/* Reads vocab.json and merges.txt of a folder, and special_tokens_map.json and
 * tokenizer_config.json where they exist.  Errors name the file.  On true the caller owns *out. */
bool tokenizer_open(struct tokenizer **out, const char *dir, struct error *err) MUST_CHECK;

/* Accepts NULL. */
void tokenizer_close(struct tokenizer *t);

int32_t tokenizer_bos(const struct tokenizer *t);
int32_t tokenizer_eos(const struct tokenizer *t);
int32_t tokenizer_pad(const struct tokenizer *t); /* 0, which is "!", in SDXL's second one */

/* Every id is below this; a text encoder's embedding needs as many rows. */
int32_t tokenizer_vocab_size(const struct tokenizer *t);

/* Writes the first n_max ids of the text, without bos and eos, and their whole number, which may be
 * more than n_max, to *n_total.  ERROR_INVALID names the byte that is no UTF-8; more than
 * TOKENIZER_MAX_TEXT_BYTES are ERROR_LIMIT. */
bool tokenizer_encode(const struct tokenizer *t, int32_t *ids, size_t n_max, size_t *n_total,
                      const char *utf8, size_t len, struct error *err) MUST_CHECK;

/* Makes bos, the first 75 ids, eos and padding of n raw ids; n may be more than 75. */
void tokenizer_pad_ids(const struct tokenizer *t, int32_t out[TOKENIZER_LENGTH], const int32_t *ids,
                       size_t n);

/* Both in one.  *n_total, if not NULL, is the number of raw ids: more than 75 were cut off. */
bool tokenizer_encode_padded(const struct tokenizer *t, int32_t out[TOKENIZER_LENGTH],
                             size_t *n_total, const char *utf8, size_t len,
                             struct error *err) MUST_CHECK;

#endif
