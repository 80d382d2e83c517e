/* Emphasis in a prompt, as the web UIs write it: the text in pieces, each with a weight.
 *
 *     (word)      1.1 times the weight            \( \) \[ \] \\   the character itself
 *     (word:1.3)  1.3 times                       BREAK            the next chunk begins here
 *     [word]      the weight divided by 1.1
 *
 * Brackets nest and multiply.  One that is never closed counts to the end of the text, one that was
 * never opened is text.  Unlike AUTOMATIC1111's parser, which this follows otherwise, BREAK works
 * inside brackets too, and a weight with two points, such as 1.2.3, is text. */
#ifndef TEXT_PROMPT_ATTENTION_H
#define TEXT_PROMPT_ATTENTION_H

#include "base/error.h"

#include <stddef.h>

/* Beyond it a number is a typing mistake that would drown the picture. */
#define PROMPT_ATTENTION_MAX_WEIGHT 1000.0

struct prompt_piece {
    size_t at, len; /* of prompt_pieces.text; both 0 for BREAK */
    double weight;
    bool is_break;
};

struct prompt_pieces {
    char *text;                  /* owned; the prompt without syntax, terminated */
    struct prompt_piece *pieces; /* owned; at least one */
    size_t n;
};

/* Neighbours have different weights.  ERROR_INVALID: brackets more than PROMPT_SCAN_MAX_DEPTH deep,
 * or a weight beyond PROMPT_ATTENTION_MAX_WEIGHT.  On true the caller clears *out. */
bool prompt_attention_parse(struct prompt_pieces *out, const char *text, size_t len,
                            struct error *err) MUST_CHECK;

/* The whole text as one piece of weight 1: for a prompt whose syntax is switched off. */
bool prompt_attention_literal(struct prompt_pieces *out, const char *text, size_t len,
                              struct error *err) MUST_CHECK;

void prompt_attention_clear(struct prompt_pieces *p);

#endif
