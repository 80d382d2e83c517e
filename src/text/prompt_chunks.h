/* A prompt's pieces as what text encoders take: chunks of 77 tokens, and a weight for each token.
 *
 * A chunk is bos, 75 tokens, eos and padding.  When the 75 are full and one of the last 20 is a
 * comma, what stands behind the comma moves to the next chunk; BREAK ends a chunk at once.  The
 * names of textual inversions stand for the vectors of their files: ids behind the vocabulary's,
 * never divided over two chunks. */
#ifndef TEXT_PROMPT_CHUNKS_H
#define TEXT_PROMPT_CHUNKS_H

#include "text/prompt_attention.h"
#include "text/tokenizer.h"

enum {
    PROMPT_CHUNKS_TOKENS = TOKENIZER_LENGTH - 2, /* of the text, in one chunk */
    PROMPT_CHUNKS_COMMA_TOKENS = 20,             /* how far back a comma may be */
    PROMPT_CHUNKS_MAX = 64,
    PROMPT_CHUNKS_MAX_NAME_TOKENS = 32
};

/* A textual inversion, as the tokenizer reads its name. */
struct prompt_word {
    int32_t name_ids[PROMPT_CHUNKS_MAX_NAME_TOKENS];
    int n_name_ids;
    int32_t first_id; /* its vectors are this id and the following */
    int n_vectors;    /* at most PROMPT_CHUNKS_TOKENS */
};

struct prompt_chunk {
    int32_t ids[TOKENIZER_LENGTH];
    float weights[TOKENIZER_LENGTH];
    bool weighted; /* some weight is not 1 */
};

struct prompt_chunks {
    struct prompt_chunk *chunks; /* owned; at least one */
    int n;
    size_t n_tokens; /* of the text, without bos, eos, padding; names count as their vectors */
};

/* ERROR_LIMIT: more than PROMPT_CHUNKS_MAX.  Where names of several words begin alike the longest
 * one counts.  On true the caller clears *out. */
bool prompt_chunks_make(struct prompt_chunks *out, const struct tokenizer *t,
                        const struct prompt_pieces *pieces, const struct prompt_word *words,
                        int n_words, struct error *err) MUST_CHECK;

/* The first 75 tokens in one chunk, whatever they are; n_tokens counts all.  For a prompt whose
 * syntax is switched off. */
bool prompt_chunks_literal(struct prompt_chunks *out, const struct tokenizer *t, const char *text,
                           size_t len, struct error *err) MUST_CHECK;

/* A chunk without text, which fills up the shorter of two prompts. */
struct prompt_chunk prompt_chunks_empty(const struct tokenizer *t);

/* Reads the name of a textual inversion.  False when it has no token or too many. */
bool prompt_chunks_name(struct prompt_word *out, const struct tokenizer *t, const char *name,
                        struct error *err) MUST_CHECK;

void prompt_chunks_clear(struct prompt_chunks *c);

/* Multiplies each of a chunk's rows by its weight and then all of them by one number, so that their
 * mean is what it was: a louder word makes the others quieter.  A mean of 0 stays. */
void prompt_chunks_emphasize(float *rows, size_t width, const struct prompt_chunk *chunk);

#endif
