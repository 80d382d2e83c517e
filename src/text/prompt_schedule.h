/* Prompt editing: a prompt that changes while the picture is made.
 *
 *     [a:b:when]  a up to the step `when`, b after it     [a|b|c]  a, b, c in turn, step by step
 *     [b:when]    b after it   [a::when]  a up to it
 *
 * `when` with a point is a part of the steps (0.5: half of them), otherwise a number of steps. They
 * nest, in each other and in emphasis, which is left as it stands.  What does not fit is text.  The
 * grammar is AUTOMATIC1111's, but that a stray | is text and not the end of all editing, and
 * [a|b:when] edits the text a|b. */
#ifndef TEXT_PROMPT_SCHEDULE_H
#define TEXT_PROMPT_SCHEDULE_H

#include "base/error.h"

#include <stddef.h>

enum { PROMPT_SCHEDULE_MAX_BYTES = 8 << 20 }; /* of all texts of one prompt */

struct prompt_part {
    int last_step; /* 1 to the number of steps; the last one's is that number */
    int text;      /* place in texts */
};

struct prompt_schedule {
    struct prompt_part *parts; /* owned; n_parts of them, at least one, by rising last_step */
    int n_parts;
    char **texts; /* owned, terminated; all different */
    int n_texts;
};

/* Which steps a prompt is scheduled over.  A second pass goes on where the first one of first_steps
 * ended: there a fraction counts from 1.0 and a whole number from first_steps. */
struct prompt_steps {
    int steps;       /* of this pass, at least 1 */
    int first_steps; /* 0: this is the first pass */
};

/* ERROR_INVALID: brackets deeper than PROMPT_SCAN_MAX_DEPTH.  ERROR_LIMIT: texts too large.  On
 * true the caller clears *out. */
bool prompt_schedule_parse(struct prompt_schedule *out, const char *prompt, size_t len,
                           struct prompt_steps steps, struct error *err) MUST_CHECK;

/* One text for all steps: for a prompt whose syntax is switched off. */
bool prompt_schedule_literal(struct prompt_schedule *out, const char *prompt, size_t len, int steps,
                             struct error *err) MUST_CHECK;

/* The text of a step, 1 being the first, as a place in texts. */
int prompt_schedule_at(const struct prompt_schedule *s, int step);

void prompt_schedule_clear(struct prompt_schedule *s);

#endif
