#include "text/prompt_tags.h"

#include "base/parse.h"
#include "text/prompt_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WARNING_BYTES = 400, MAX_SHOWN_BYTES = 80 };

struct tag {
    const char *begin; /* "<" */
    size_t len;
    size_t kind_len; /* of the word behind "<" */
};

/* Whether <word:anything> begins at `at`, and how long it is. */
static bool read_tag(struct tag *tag, const char *text, size_t len, size_t at)
{
    size_t end = at + 1;

    while (prompt_scan_in_word(text, len, end))
        for (end++; end < len && ((unsigned char)text[end] & 0xc0) == 0x80;)
            end++;
    const size_t kind_len = end - at - 1;
    if (kind_len == 0 || end == len || text[end] != ':')
        return false;
    const char *close = memchr(text + end, '>', len - end);
    if (!close || close == text + end + 1)
        return false;
    *tag = (struct tag){text + at, (size_t)(close + 1 - (text + at)), kind_len};
    return true;
}

static bool warn(struct prompt_tags *t, const struct tag *tag, const char *what, struct error *err)
{
    char *text = malloc(MAX_WARNING_BYTES);

    if (!text)
        return error_set(err, ERROR_MEMORY, "no memory for a warning");
    const int shown = tag->len < MAX_SHOWN_BYTES ? (int)tag->len : MAX_SHOWN_BYTES;
    snprintf(text, MAX_WARNING_BYTES, "%.*s in the prompt %s", shown, tag->begin, what);
    t->warnings[t->n_warnings++] = text;
    return true;
}

/* Cuts the text at the next colon; NULL when nothing is left. */
static char *next_part(char **rest)
{
    char *part = *rest;

    if (!part)
        return NULL;
    char *colon = strchr(part, ':');
    if (colon)
        *colon = '\0';
    *rest = colon ? colon + 1 : NULL;
    return part;
}

static bool read_strength(double *out, const char *text)
{
    struct error ignored = {0};
    return parse_double(out, text, -PROMPT_TAGS_MAX_STRENGTH, PROMPT_TAGS_MAX_STRENGTH, &ignored);
}

/* The strengths behind the name.  Returns what is wrong with them, or NULL. */
static const char *read_strengths(struct prompt_lora *lora, char *rest)
{
    static const char *const bad = "is left out: a strength must be a number from -100 to 100";
    bool unet_given = false;
    int place = 0;

    for (char *part; (part = next_part(&rest));) {
        bool ok = true;
        if (strncmp(part, "te=", 3) == 0) {
            ok = read_strength(&lora->text_strength, part + 3);
        } else if (strncmp(part, "unet=", 5) == 0) {
            ok = unet_given = read_strength(&lora->unet_strength, part + 5);
        } else if (strchr(part, '=') || place == 2) {
            return "is left out: only a name and two strengths are known";
        } else if (place++ == 0) {
            ok = read_strength(&lora->text_strength, part);
        } else {
            ok = unet_given = read_strength(&lora->unet_strength, part);
        }
        if (!ok)
            return bad;
    }
    if (!unet_given)
        lora->unet_strength = lora->text_strength;
    return NULL;
}

static bool add_lora(struct prompt_tags *t, const struct tag *tag, struct error *err)
{
    const char *begin = tag->begin + tag->kind_len + 2;
    const size_t len = (size_t)(tag->begin + tag->len - 1 - begin);
    char *name = malloc(len + 1);

    if (!name)
        return error_set(err, ERROR_MEMORY, "no memory for the name of a LoRA");
    memcpy(name, begin, len);
    name[len] = '\0';
    struct prompt_lora lora = {.name = name, .text_strength = 1};
    char *rest = name;
    next_part(&rest);
    const char *wrong = *name ? read_strengths(&lora, rest) : "is left out: it has no name";
    if (!wrong) {
        t->loras[t->n_loras++] = lora;
        return true;
    }
    free(name);
    return warn(t, tag, wrong, err);
}

static bool take_tag(struct prompt_tags *t, const struct tag *tag, struct error *err)
{
    if (t->n_loras + t->n_warnings == PROMPT_TAGS_MAX)
        return error_set(err, ERROR_LIMIT, "the prompt has more than %d tags in < >",
                         PROMPT_TAGS_MAX);
    if (tag->kind_len == 4 && memcmp(tag->begin + 1, "lora", 4) == 0)
        return add_lora(t, tag, err);
    return warn(t, tag, "is left out: only <lora:...> is known", err);
}

bool prompt_tags_extract(struct prompt_tags *out, const char *prompt, struct error *err)
{
    const size_t len = strlen(prompt);
    struct prompt_tags t = {.prompt = malloc(len + 1),
                            .loras = calloc(PROMPT_TAGS_MAX, sizeof *t.loras),
                            .warnings = calloc(PROMPT_TAGS_MAX, sizeof *t.warnings)};
    size_t kept = 0;
    bool ok = (t.prompt && t.loras && t.warnings) ||
              error_set(err, ERROR_MEMORY, "no memory for a prompt of %zu bytes", len);

    /* Without this a text of nothing but "<a:" is searched to its end again and again. */
    const char *last_close = strrchr(prompt, '>');
    for (size_t at = 0; ok && at < len;) {
        struct tag tag;
        if (prompt[at] == '<' && last_close > prompt + at && read_tag(&tag, prompt, len, at)) {
            ok = take_tag(&t, &tag, err);
            at += tag.len;
        } else {
            t.prompt[kept++] = prompt[at++];
        }
    }
    if (!ok) {
        prompt_tags_clear(&t);
        return false;
    }
    t.prompt[kept] = '\0';
    *out = t;
    return true;
}

void prompt_tags_clear(struct prompt_tags *t)
{
    for (int i = 0; i < t->n_loras; i++)
        free(t->loras[i].name);
    for (int i = 0; i < t->n_warnings; i++)
        free(t->warnings[i]);
    free(t->prompt);
    free(t->loras);
    free(t->warnings);
    *t = (struct prompt_tags){0};
}
