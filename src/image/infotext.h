/* The text that tells how a picture was made, in AUTOMATIC1111's grammar: the prompt, the negative
 * prompt, and a last line of "Key: value" pairs.  Stored in pictures by image_png and image_jpeg.
 */
#ifndef IMAGE_INFOTEXT_H
#define IMAGE_INFOTEXT_H

#include "base/buf.h"
#include "base/error.h"

struct infotext_pair {
    const char
        *key; /* two or more letters, digits, _, blanks, - or /; begins with none of the last 3 */
    const char *value; /* UTF-8; a pair with NULL or "" is left out */
};

/* Appends the text.  Known keys go into A1111's order whatever order they come in; others stand
 * before Version.  The prompts may be NULL. */
bool infotext_write(struct buf *out, const char *prompt, const char *negative_prompt,
                    const struct infotext_pair *pairs, size_t n_pairs,
                    struct error *err) MUST_CHECK;

/* A text taken apart; everything is owned by it. */
struct infotext {
    char *prompt;          /* never NULL */
    char *negative_prompt; /* never NULL */
    struct infotext_pair *pairs;
    size_t n_pairs;
    char *text; /* where the strings above live */
};

enum { INFOTEXT_MAX_BYTES = 1 << 20, INFOTEXT_MAX_PAIRS = 512 };

/* Any text of at most INFOTEXT_MAX_BYTES has a meaning: without at least three pairs in its last
 * line, all of it is prompt.  Pairs beyond INFOTEXT_MAX_PAIRS are ERROR_LIMIT. */
bool infotext_parse(struct infotext *out, const char *text, size_t len,
                    struct error *err) MUST_CHECK;
void infotext_clear(struct infotext *info);

/* The value of a key as it was written, or NULL.  The last of several wins, as in A1111. */
const char *infotext_find(const struct infotext *info, const char *key);

#endif
