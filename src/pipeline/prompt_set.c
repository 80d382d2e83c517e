#include "pipeline/prompt_set.h"

#include "text/prompt_schedule.h"
#include "text/prompt_tags.h"

#include <stdlib.h>
#include <string.h>

enum { NEGATIVE, POSITIVE };

/* The prompts on their way to chunks. */
struct reader {
    const struct prompt_source *from;
    const struct gen_request *request;
    struct prompt_tags tags[2];                             /* without their tags */
    struct prompt_schedule schedules[PROMPT_SET_MAX_PARTS]; /* one for each part */
    struct prompt_chunks (*chunks)[2];                      /* of each text, of each encoder */
    struct prompt_set *out;
};

static int steps_of(const struct gen_request *r)
{
    const struct gen_steps steps = gen_request_steps(r);
    return steps.all > steps.skipped ? steps.all - steps.skipped : 1;
}

static bool is_literal(const struct reader *r)
{
    return r->request->prompt_syntax == GEN_SYNTAX_OFF;
}

static bool take_tags(struct reader *r, struct gen_warnings *warnings, struct error *err)
{
    const char *const prompts[2] = {r->request->negative_prompt, r->request->prompt};

    for (int i = 0; i < 2; i++) {
        if (!prompt_tags_extract(&r->tags[i], prompts[i], err))
            return false;
        for (int k = 0; warnings && k < r->tags[i].n_warnings; k++)
            gen_warnings_add(warnings, "%s", r->tags[i].warnings[k]);
    }
    if (warnings && r->tags[NEGATIVE].n_loras)
        gen_warnings_add(warnings, "<lora:%s> in the negative prompt does nothing",
                         r->tags[NEGATIVE].loras[0].name);
    return true;
}

static bool add_part(struct reader *r, const char *text, size_t len, double weight,
                     struct error *err)
{
    struct prompt_set *s = r->out;
    struct prompt_schedule *schedule = &r->schedules[s->n_parts];
    const struct prompt_steps steps = {.steps = s->n_steps, .first_steps = r->request->first_steps};

    if (!(is_literal(r) ? prompt_schedule_literal(schedule, text, len, s->n_steps, err)
                        : prompt_schedule_parse(schedule, text, len, steps, err)))
        return false;
    s->weights[s->n_parts++] = weight;
    s->n_texts += schedule->n_texts;
    return true;
}

/* Divides the prompts into parts with their texts by step. */
static bool make_parts(struct reader *r, struct error *err)
{
    struct prompt_composed composed[PROMPT_COMPOSE_MAX];
    struct prompt_set *s = r->out;
    const struct gen_request *q = r->request;
    const char *const prompt = is_literal(r) ? q->prompt : r->tags[POSITIVE].prompt;
    const char *const negative = is_literal(r) ? q->negative_prompt : r->tags[NEGATIVE].prompt;
    int n = 1;

    composed[0] = (struct prompt_composed){prompt, strlen(prompt), 1};
    if (!is_literal(r) && !prompt_compose_split(composed, &n, prompt, strlen(prompt), err))
        return error_prefix(err, "prompt");
    s->n_steps = steps_of(q);
    s->guided = q->cfg_scale != 1.0 || n > 1;
    if (s->guided && !add_part(r, negative, strlen(negative), 1, err))
        return error_prefix(err, "negative prompt");
    s->n_negative_texts = s->n_texts;
    for (int i = 0; i < n; i++)
        if (!add_part(r, composed[i].text, composed[i].len, composed[i].weight, err))
            return error_prefix(err, "prompt");
    return true;
}

static void pad_with_zero(struct prompt_chunks *c, const struct tokenizer *t)
{
    for (int i = 0; i < c->n; i++) {
        int32_t *ids = c->chunks[i].ids;
        int at = 0;
        while (at < TOKENIZER_LENGTH && ids[at] != tokenizer_eos(t))
            at++;
        for (at++; at < TOKENIZER_LENGTH; at++)
            ids[at] = 0;
    }
}

static bool make_chunks(struct reader *r, struct prompt_chunks *out, int encoder, const char *text,
                        struct error *err)
{
    const struct tokenizer *t = r->from->tokenizer[encoder];
    const struct prompt_words *words = &r->out->words;
    struct prompt_pieces pieces = {0};
    bool ok;

    if (is_literal(r)) {
        ok = prompt_chunks_literal(out, t, text, strlen(text), err);
    } else {
        ok = prompt_attention_parse(&pieces, text, strlen(text), err) &&
             prompt_chunks_make(out, t, &pieces, words->words[encoder], words->n, err);
        prompt_attention_clear(&pieces);
    }
    if (ok && encoder == 1 && r->from->pads_with_zero)
        pad_with_zero(out, t);
    return ok;
}

/* Each text of each part once, for each encoder. */
static bool read_texts(struct reader *r, struct error *err)
{
    struct prompt_set *s = r->out;
    int at = 0;

    for (int part = 0; part < s->n_parts; part++) {
        const bool negative = s->guided && part == 0;
        for (int i = 0; i < r->schedules[part].n_texts; i++, at++)
            for (int e = 0; e < 2; e++) {
                struct prompt_chunks *c = &r->chunks[at][e];
                size_t *tokens = &s->n_tokens[negative ? 1 : 0];
                if (!r->from->tokenizer[e])
                    continue;
                if (!make_chunks(r, c, e, r->schedules[part].texts[i], err))
                    return error_prefix(err, negative ? "negative prompt" : "prompt");
                s->n_chunks = c->n > s->n_chunks ? c->n : s->n_chunks;
                *tokens = c->n_tokens > *tokens ? c->n_tokens : *tokens;
            }
    }
    return true;
}

/* Shorter texts end with empty chunks. */
static bool join_chunks(struct reader *r, struct error *err)
{
    struct prompt_set *s = r->out;
    const size_t n = (size_t)s->n_texts * (size_t)s->n_chunks;

    s->chunks = calloc(n, sizeof *s->chunks);
    if (!s->chunks)
        return error_set(err, ERROR_MEMORY, "no memory for the prompts' tokens");
    for (size_t i = 0; i < n; i++)
        for (int e = 0; e < 2; e++) {
            const struct prompt_chunks *c = &r->chunks[i / (size_t)s->n_chunks][e];
            const int k = (int)(i % (size_t)s->n_chunks);
            if (!r->from->tokenizer[e])
                continue;
            s->chunks[i].of[e] =
                k < c->n ? c->chunks[k] : prompt_chunks_empty(r->from->tokenizer[e]);
            if (k >= c->n && e == 1 && r->from->pads_with_zero)
                pad_with_zero(&(struct prompt_chunks){.chunks = &s->chunks[i].of[e], .n = 1},
                              r->from->tokenizer[e]);
        }
    return true;
}

static bool is_same(const struct prompt_set_chunk *a, const struct prompt_set_chunk *b)
{
    for (int e = 0; e < 2; e++)
        if (memcmp(a->of[e].ids, b->of[e].ids, sizeof a->of[e].ids) != 0 ||
            memcmp(a->of[e].weights, b->of[e].weights, sizeof a->of[e].weights) != 0)
            return false;
    return true;
}

/* Empty chunks are often the same, and those of a text that changes in another place. */
static bool find_same(struct prompt_set *s, struct error *err)
{
    const int n = s->n_texts * s->n_chunks;

    s->same = calloc((size_t)n, sizeof *s->same);
    if (!s->same)
        return error_set(err, ERROR_MEMORY, "no memory for the prompts' tokens");
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < i && (s->same[k] != k || !is_same(&s->chunks[k], &s->chunks[i])))
            k++;
        s->same[i] = k;
        s->n_different += k == i;
    }
    return true;
}

static bool list_steps(struct reader *r, struct error *err)
{
    struct prompt_set *s = r->out;
    int first = 0;

    s->texts = calloc((size_t)s->n_steps * (size_t)s->n_parts, sizeof *s->texts);
    if (!s->texts)
        return error_set(err, ERROR_MEMORY, "no memory for %d steps", s->n_steps);
    for (int part = 0; part < s->n_parts; part++) {
        for (int i = 0; i < s->n_steps; i++)
            s->texts[i * s->n_parts + part] =
                first + prompt_schedule_at(&r->schedules[part], i + 1);
        s->changes |= r->schedules[part].n_texts > 1;
        first += r->schedules[part].n_texts;
    }
    return true;
}

static bool read_all(struct reader *r, struct gen_warnings *warnings, struct error *err)
{
    struct prompt_set *s = r->out;
    const struct prompt_source *from = r->from;

    if (!is_literal(r)) {
        if (!take_tags(r, warnings, err))
            return false;
        const char *const texts[2] = {r->tags[NEGATIVE].prompt, r->tags[POSITIVE].prompt};
        if (!prompt_words_read(&s->words, from->embeddings_dir, texts, from->info, from->tokenizer,
                               warnings, err))
            return false;
    }
    if (!make_parts(r, err))
        return false;
    r->chunks = calloc((size_t)s->n_texts, sizeof *r->chunks);
    if (!r->chunks)
        return error_set(err, ERROR_MEMORY, "no memory for %d texts", s->n_texts);
    return read_texts(r, err) && join_chunks(r, err) && find_same(s, err) && list_steps(r, err);
}

bool prompt_set_read(struct prompt_set *out, const struct prompt_source *from,
                     const struct gen_request *request, struct gen_warnings *warnings,
                     struct error *err)
{
    struct reader r = {.from = from, .request = request, .out = out};

    *out = (struct prompt_set){0};
    const bool ok = read_all(&r, warnings, err);
    for (int i = 0; r.chunks && i < out->n_texts; i++)
        for (int e = 0; e < 2; e++)
            prompt_chunks_clear(&r.chunks[i][e]);
    free(r.chunks);
    for (int i = 0; i < PROMPT_SET_MAX_PARTS; i++)
        prompt_schedule_clear(&r.schedules[i]);
    for (int i = 0; i < 2; i++)
        prompt_tags_clear(&r.tags[i]);
    if (!ok)
        prompt_set_clear(out);
    return ok;
}

struct gen_text_need prompt_set_need(const struct prompt_set *s)
{
    return (struct gen_text_need){.texts = s->n_texts,
                                  .chunks = s->n_chunks,
                                  .different = s->n_different,
                                  .parts = s->n_parts,
                                  .vectors = s->words.n_vectors,
                                  .changes = s->changes};
}

void prompt_set_clear(struct prompt_set *s)
{
    free(s->chunks);
    free(s->same);
    free(s->texts);
    prompt_words_clear(&s->words);
    *s = (struct prompt_set){0};
}
