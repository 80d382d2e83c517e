#include "text/prompt_attention.h"
#include "text/prompt_compose.h"
#include "text/prompt_schedule.h"
#include "text/prompt_tags.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BYTES = 4096, STEPS = 7 };

static void require(bool what)
{
    if (!what)
        abort();
}

/* Pieces are not longer than the text, lie one behind the other, and have finite weights. */
static void check_pieces(const char *text, size_t len)
{
    struct prompt_pieces p;
    struct error err = {0};
    size_t at = 0;
    if (!prompt_attention_parse(&p, text, len, &err))
        return;
    require(p.n >= 1 && strlen(p.text) <= len);
    for (size_t i = 0; i < p.n; i++) {
        require(isfinite(p.pieces[i].weight));
        if (p.pieces[i].is_break)
            continue;
        require(p.pieces[i].at == at);
        at += p.pieces[i].len;
    }
    require(at == strlen(p.text));
    prompt_attention_clear(&p);
}

/* Steps rise to the last one, and no text is longer than the prompt. */
static void check_schedule(const char *text, size_t len, int first_steps)
{
    struct prompt_schedule s;
    struct error err = {0};
    int last = 0;
    if (!prompt_schedule_parse(&s, text, len, (struct prompt_steps){STEPS, first_steps}, &err))
        return;
    for (int i = 0; i < s.n_parts; i++) {
        require(s.parts[i].last_step > last);
        last = s.parts[i].last_step;
        require(s.parts[i].text >= 0 && s.parts[i].text < s.n_texts);
    }
    require(last == STEPS);
    for (int i = 0; i < s.n_texts; i++) {
        require(strlen(s.texts[i]) <= len);
        check_pieces(s.texts[i], strlen(s.texts[i]));
    }
    prompt_schedule_clear(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prompt_composed part[PROMPT_COMPOSE_MAX];
    struct prompt_tags tags;
    struct error err = {0};
    int n = 0;
    if (size > MAX_BYTES || memchr(data, 0, size))
        return 0;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_pieces(text, size);
    if (prompt_compose_split(part, &n, text, size, &err))
        for (int i = 0; i < n; i++) {
            require(part[i].text >= text && part[i].text + part[i].len <= text + size);
            check_schedule(part[i].text, part[i].len, 0);
            check_schedule(part[i].text, part[i].len, STEPS);
        }
    if (prompt_tags_extract(&tags, text, &err)) {
        require(strlen(tags.prompt) <= size);
        prompt_tags_clear(&tags);
    }
    free(text);
    return 0;
}
