/* Byte-pair encoding of one word with a vocabulary and its merges, as CLIP does it.
 *
 * Knows nothing of prompts: whoever calls has cut the text into words.  The files are not trusted.
 */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct bpe;      /* constant once open; used by many threads */
struct bpe_work; /* scratch memory of one caller */

/* Reads dir/vocab.json and dir/merges.txt.  Errors name the file and the byte or line.  On true the
 * caller owns *out. */
bool bpe_open(struct bpe **out, const char *dir, struct error *err) MUST_CHECK;

/* Accepts NULL. */
void bpe_close(struct bpe *b);

/* The id of an entry as vocab.json spells it, or -1. */
int32_t bpe_find(const struct bpe *b, const char *text, size_t len);

/* Largest id + 1: the rows a text encoder's embedding needs. */
int32_t bpe_size(const struct bpe *b);

/* Memory for words of at most max_bytes; NULL when there is none. */
struct bpe_work *bpe_work_new(size_t max_bytes);
void bpe_work_free(struct bpe_work *w);

/* Writes the ids of a word of len bytes, at least 1, to ids, which has room for len of them, and
 * returns how many.  A byte without an entry becomes unknown_id. */
size_t bpe_encode(const struct bpe *b, int32_t *ids, const unsigned char *word, size_t len,
                  int32_t unknown_id, struct bpe_work *w);

#endif
