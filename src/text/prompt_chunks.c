#include "text/prompt_chunks.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX = PROMPT_CHUNKS_TOKENS };

struct maker {
    const struct tokenizer *tokenizer;
    struct prompt_chunks *out;
    int32_t comma; /* -1: none */

    /* The chunk that is being filled. */
    int32_t ids[MAX];
    float weights[MAX];
    int n;
    int last_comma; /* -1: none */
};

static bool make_room(struct prompt_chunks *out, struct error *err)
{
    *out = (struct prompt_chunks){0};
    out->chunks = malloc(PROMPT_CHUNKS_MAX * sizeof *out->chunks);
    return out->chunks || error_set(err, ERROR_MEMORY, "no memory for a prompt's tokens");
}

static struct prompt_chunk chunk_of(const struct tokenizer *t, const int32_t *ids,
                                    const float *weights, int n)
{
    struct prompt_chunk c = {.weighted = false};

    tokenizer_pad_ids(t, c.ids, ids, (size_t)n);
    for (int i = 0; i < TOKENIZER_LENGTH; i++) {
        c.weights[i] = i >= 1 && i <= n && weights ? weights[i - 1] : 1;
        c.weighted |= c.weights[i] != 1;
    }
    return c;
}

struct prompt_chunk prompt_chunks_empty(const struct tokenizer *t)
{
    return chunk_of(t, NULL, NULL, 0);
}

static bool end_chunk(struct maker *m, struct error *err)
{
    struct prompt_chunks *out = m->out;

    if (out->n == PROMPT_CHUNKS_MAX)
        return error_set(err, ERROR_LIMIT,
                         "the prompt needs more than %d chunks of %d tokens; use fewer words",
                         PROMPT_CHUNKS_MAX, MAX);
    out->chunks[out->n++] = chunk_of(m->tokenizer, m->ids, m->weights, m->n);
    m->n = 0;
    m->last_comma = -1;
    return true;
}

/* Ends a full chunk at its last comma; what stands behind begins the next one. */
static bool end_at_comma(struct maker *m, struct error *err)
{
    int32_t ids[MAX];
    float weights[MAX];
    const int kept = m->last_comma + 1, moved = m->n - kept;

    memcpy(ids, m->ids + kept, (size_t)moved * sizeof *ids);
    memcpy(weights, m->weights + kept, (size_t)moved * sizeof *weights);
    m->n = kept;
    if (!end_chunk(m, err))
        return false;
    memcpy(m->ids, ids, (size_t)moved * sizeof *ids);
    memcpy(m->weights, weights, (size_t)moved * sizeof *weights);
    m->n = moved;
    return true;
}

/* The word whose name begins here, or NULL. */
static const struct prompt_word *word_at(const struct prompt_word *words, int n_words,
                                         const int32_t *ids, size_t n_ids)
{
    const struct prompt_word *best = NULL;

    for (int i = 0; i < n_words; i++) {
        const struct prompt_word *w = &words[i];
        const size_t n = (size_t)w->n_name_ids;
        if (n <= n_ids && memcmp(w->name_ids, ids, n * sizeof *ids) == 0 &&
            (!best || w->n_name_ids > best->n_name_ids))
            best = w;
    }
    return best;
}

/* Adds one token, or all vectors of a word in its place. */
static bool add(struct maker *m, int32_t token, const struct prompt_word *word, float weight,
                struct error *err)
{
    const int n = word ? word->n_vectors : 1;

    ASSERT(n >= 1 && n <= MAX);
    if (!word && token == m->comma)
        m->last_comma = m->n;
    else if (m->n == MAX && m->last_comma >= 0 &&
             m->n - m->last_comma <= PROMPT_CHUNKS_COMMA_TOKENS && !end_at_comma(m, err))
        return false;
    if (m->n + n > MAX && !end_chunk(m, err))
        return false;
    for (int i = 0; i < n; i++) {
        m->ids[m->n] = word ? word->first_id + i : token;
        m->weights[m->n++] = weight;
    }
    m->out->n_tokens += (size_t)n;
    return true;
}

static bool add_piece(struct maker *m, const int32_t *ids, size_t n_ids,
                      const struct prompt_word *words, int n_words, float weight, struct error *err)
{
    for (size_t i = 0; i < n_ids;) {
        const struct prompt_word *word = word_at(words, n_words, ids + i, n_ids - i);
        if (!add(m, ids[i], word, weight, err))
            return false;
        i += word ? (size_t)word->n_name_ids : 1;
    }
    return true;
}

/* All ids of a text, usually not more than its bytes, though normalising may lengthen it. */
static bool encode_all(int32_t **ids, size_t *n_ids, const struct tokenizer *t, const char *text,
                       size_t len, struct error *err)
{
    size_t room = len + 1;

    for (;;) {
        int32_t *grown = realloc(*ids, room * sizeof **ids);
        if (!grown)
            return error_set(err, ERROR_MEMORY, "no memory for a prompt's tokens");
        *ids = grown;
        if (!tokenizer_encode(t, *ids, room, n_ids, text, len, err))
            return false;
        if (*n_ids <= room)
            return true;
        room = *n_ids;
    }
}

static bool fill(struct maker *m, const struct prompt_pieces *pieces,
                 const struct prompt_word *words, int n_words, struct error *err)
{
    int32_t *ids = NULL;
    bool ok = true;

    for (size_t i = 0; ok && i < pieces->n; i++) {
        const struct prompt_piece *piece = &pieces->pieces[i];
        size_t n_ids = 0;
        if (piece->is_break)
            ok = end_chunk(m, err);
        else
            ok = encode_all(&ids, &n_ids, m->tokenizer, pieces->text + piece->at, piece->len, err);
        ok = ok && add_piece(m, ids, n_ids, words, n_words, (float)piece->weight, err);
    }
    free(ids);
    return ok && ((m->n == 0 && m->out->n > 0) || end_chunk(m, err));
}

bool prompt_chunks_make(struct prompt_chunks *out, const struct tokenizer *t,
                        const struct prompt_pieces *pieces, const struct prompt_word *words,
                        int n_words, struct error *err)
{
    struct maker m = {.tokenizer = t, .out = out, .comma = -1, .last_comma = -1};
    int32_t comma[1];
    size_t n;

    bool ok = make_room(out, err) && tokenizer_encode(t, comma, 1, &n, ",", 1, err);
    if (ok && n == 1)
        m.comma = comma[0];
    ok = ok && fill(&m, pieces, words, n_words, err);
    if (!ok)
        prompt_chunks_clear(out);
    return ok;
}

bool prompt_chunks_literal(struct prompt_chunks *out, const struct tokenizer *t, const char *text,
                           size_t len, struct error *err)
{
    int32_t ids[MAX];

    if (!make_room(out, err) || !tokenizer_encode(t, ids, MAX, &out->n_tokens, text, len, err)) {
        prompt_chunks_clear(out);
        return false;
    }
    out->chunks[0] = chunk_of(t, ids, NULL, out->n_tokens < MAX ? (int)out->n_tokens : MAX);
    out->n = 1;
    return true;
}

bool prompt_chunks_name(struct prompt_word *out, const struct tokenizer *t, const char *name,
                        struct error *err)
{
    size_t n;

    if (!tokenizer_encode(t, out->name_ids, PROMPT_CHUNKS_MAX_NAME_TOKENS, &n, name, strlen(name),
                          err))
        return false;
    if (n == 0 || n > PROMPT_CHUNKS_MAX_NAME_TOKENS)
        return error_set(err, ERROR_INVALID,
                         "the name '%.80s' has %zu tokens; 1 to %d are possible", name, n,
                         PROMPT_CHUNKS_MAX_NAME_TOKENS);
    out->n_name_ids = (int)n;
    return true;
}

void prompt_chunks_clear(struct prompt_chunks *c)
{
    free(c->chunks);
    *c = (struct prompt_chunks){0};
}

void prompt_chunks_emphasize(float *rows, size_t width, const struct prompt_chunk *chunk)
{
    double before = 0, after = 0;

    if (!chunk->weighted)
        return;
    for (size_t i = 0; i < TOKENIZER_LENGTH; i++) {
        double sum = 0;
        for (size_t k = 0; k < width; k++)
            sum += rows[i * width + k];
        before += sum;
        after += sum * (double)chunk->weights[i];
    }
    double scale = before / after;
    if (!isfinite(scale))
        scale = 1;
    for (size_t i = 0; i < TOKENIZER_LENGTH; i++)
        for (size_t k = 0; k < width; k++)
            rows[i * width + k] =
                (float)((double)rows[i * width + k] * (double)chunk->weights[i] * scale);
}
