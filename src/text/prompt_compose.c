#include "text/prompt_compose.h"

#include "text/prompt_scan.h"

#include <math.h>
#include <string.h>

static size_t trim_end(const char *text, size_t len)
{
    while (len > 0 && prompt_scan_is_space(text[len - 1]))
        len--;
    return len;
}

/* Takes ":number" from the end of a part. */
static void take_weight(struct prompt_composed *part)
{
    part->weight = 1;
    part->len = trim_end(part->text, part->len);
    size_t colon = part->len;
    while (colon > 0 && part->text[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return;

    double weight;
    size_t at = prompt_scan_skip_spaces(part->text, part->len, colon);
    if (!prompt_scan_number(&weight, part->text, part->len, &at, PROMPT_SCAN_PLAIN) ||
        at != part->len)
        return;
    part->weight = weight;
    part->len = trim_end(part->text, colon - 1);
}

bool prompt_compose_split(struct prompt_composed *out, int *n, const char *prompt, size_t len,
                          struct error *err)
{
    size_t at = 0, found;

    *n = 0;
    while (prompt_scan_word(&found, prompt, len, at, "AND")) {
        if (*n == PROMPT_COMPOSE_MAX - 1)
            return error_set(err, ERROR_LIMIT, "the prompt has more than %d parts with AND",
                             PROMPT_COMPOSE_MAX);
        out[(*n)++] = (struct prompt_composed){prompt + at, found - at, 1};
        at = found + strlen("AND");
    }
    out[(*n)++] = (struct prompt_composed){prompt + at, len - at, 1};
    for (int i = 0; i<*n && * n> 1; i++) {
        take_weight(&out[i]);
        if (!(fabs(out[i].weight) <= PROMPT_COMPOSE_MAX_WEIGHT))
            return error_set(err, ERROR_INVALID,
                             "part %d of the prompt has the weight %g; it may be from %g to %g",
                             i + 1, out[i].weight, -PROMPT_COMPOSE_MAX_WEIGHT,
                             PROMPT_COMPOSE_MAX_WEIGHT);
    }
    return true;
}
