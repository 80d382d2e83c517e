/* What the parts of the prompt syntax share: spaces, whole words and numbers in a text that is not
 * terminated. */
#ifndef TEXT_PROMPT_SCAN_H
#define TEXT_PROMPT_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum {
    PROMPT_SCAN_MAX_DEPTH = 256,      /* of brackets in brackets */
    PROMPT_SCAN_MAX_NUMBER_BYTES = 63 /* a longer number is none */
};

/* ASCII's white space. */
bool prompt_scan_is_space(char c);

/* The first place from `at` on that is no space, at most len. */
size_t prompt_scan_skip_spaces(const char *text, size_t len, size_t at);

/* Letters and digits of Unicode and _: what the web UIs call part of a word.  True when the
 * character that begins at `at` is one; false at len. */
bool prompt_scan_in_word(const char *text, size_t len, size_t at);

/* Finds the next `word` from `at` on that is no part of a longer word.  False when there is none.
 */
bool prompt_scan_word(size_t *found, const char *text, size_t len, size_t at, const char *word);

enum prompt_scan_kind {
    PROMPT_SCAN_PLAIN,    /* 1  -0.5  .5  2. */
    PROMPT_SCAN_EXPONENT, /* these and 1e3 */
};

/* Reads the number that begins at *at, a sign first or not, and moves *at behind it.  False, and
 * *at stays, when there is none or it is not finite. */
bool prompt_scan_number(double *out, const char *text, size_t len, size_t *at,
                        enum prompt_scan_kind kind);

#endif
