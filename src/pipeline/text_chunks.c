#include "pipeline/text_chunks.h"

#include "base/clock.h"
#include "pipeline/text_pooled.h"

#include <stdlib.h>
#include <string.h>

size_t text_chunks_width(const struct model_info *info)
{
    size_t width = 0;
    for (int i = 0; i < 2; i++)
        if (info->has_part[MODEL_TEXT_ENCODER + i])
            width += (size_t)info->clip[i].width;
    return width;
}

size_t text_chunks_pooled_width(const struct model_info *info)
{
    return info->unet.addition_input_dim ? (size_t)info->clip[1].projection_dim : 0;
}

/* Ids behind the vocabulary are vectors of textual inversions, as many as there are. */
static bool write_ids(float *to, const int32_t *ids, const struct clip_config *c, int n_vectors,
                      struct error *err)
{
    if (c->max_positions != TOKENIZER_LENGTH)
        return error_set(err, ERROR_CORRUPT, "the text encoder takes %d tokens, CLIP's takes %d",
                         c->max_positions, TOKENIZER_LENGTH);
    for (int i = 0; i < TOKENIZER_LENGTH; i++) {
        if (ids[i] < 0 || ids[i] >= c->vocab_size + n_vectors)
            return error_set(err, ERROR_CORRUPT,
                             "the tokenizer has token %d, the text encoder only %d tokens; they "
                             "do not belong together",
                             (int)ids[i], c->vocab_size);
        to[i] = (float)ids[i];
    }
    return true;
}

/* One encoder's part of the work. */
struct encoder {
    const struct stage *stage;
    const struct expert *expert;
    const struct prompt_set *set;
    const int *places; /* of the different chunks among all */
    int which;         /* 0 or 1 */
    size_t width;      /* its own */
    int lot;           /* chunks of one run */
    float *ids;        /* one lot */
    float *out;        /* one lot's hidden states; for the pooled text its last ones */
    float *eos;        /* [n][width], the last states at the end of the text; second encoder */
};

static size_t end_of_text(const struct encoder *c, int chunk)
{
    const int32_t *ids = c->set->chunks[chunk].of[c->which].ids;
    const struct tokenizer *t = c->expert->tokenizer[1];
    const int32_t eos = tokenizer_eos(t ? t : c->expert->tokenizer[0]);
    size_t at = 0;

    while (at + 1 < TOKENIZER_LENGTH && ids[at] != eos)
        at++;
    return at;
}

/* Copies a lot's states to their places. */
static void keep(const struct encoder *c, struct network *net, float *rows, size_t row_width,
                 int first, int n)
{
    const size_t bytes = c->width * sizeof *rows;
    const size_t each = TOKENIZER_LENGTH * c->width;
    const int *places = c->places + first;

    exec_read(net->exec, net->out, c->out, BACKEND_ROWS);
    for (int i = 0; i < n; i++)
        prompt_chunks_emphasize(c->out + (size_t)i * each, c->width,
                                &c->set->chunks[places[i]].of[c->which]);
    for (size_t i = 0; i < (size_t)n * TOKENIZER_LENGTH; i++) {
        const size_t row =
            (size_t)places[i / TOKENIZER_LENGTH] * TOKENIZER_LENGTH + i % TOKENIZER_LENGTH;
        memcpy(rows + row * row_width, c->out + i * c->width, bytes);
    }
    if (!net->last)
        return;
    exec_read(net->exec, net->last, c->out, BACKEND_ROWS);
    for (int i = 0; i < n; i++)
        memcpy(c->eos + (size_t)places[i] * c->width,
               c->out + (size_t)i * each + end_of_text(c, places[i]) * c->width, bytes);
}

static bool run_lots(const struct encoder *c, float *rows, size_t row_width, int n, int first_call,
                     int calls, struct error *err)
{
    struct network *net = c->expert->text[c->which];
    const struct clip_config *clip = &model_view(c->expert->model)->clip[c->which];
    const struct prompt_words *words = &c->set->words;
    bool ok = true;

    if (net->more)
        exec_write(net->exec, net->more, words->rows[c->which], BACKEND_ROWS);
    for (int first = 0; ok && first < n; first += c->lot) {
        const int left = n - first < c->lot ? n - first : c->lot;
        for (int i = 0; ok && i < left; i++)
            ok = write_ids(c->ids + (size_t)i * TOKENIZER_LENGTH,
                           c->set->chunks[c->places[first + i]].of[c->which].ids, clip,
                           words->n_vectors, err);
        if (!ok)
            break;
        exec_write(net->exec, net->ids, c->ids, BACKEND_ROWS);
        ok = stages_call(c->stage, net, c->expert->text_phase, first_call + first / c->lot, calls,
                         err);
        if (ok)
            keep(c, net, rows, row_width, first, left);
    }
    return ok;
}

static int lot_of(const struct network *net)
{
    return (int)graph_tensor_view(net->graph, net->ids)->shape.n;
}

static bool run_encoder(struct encoder *c, float *rows, size_t row_width, float *pooled,
                        int first_call, int calls, struct error *err)
{
    const int n = c->set->n_texts * c->set->n_chunks;
    struct network *net = c->expert->text[c->which];
    double started = clock_seconds();

    c->width = (size_t)model_view(c->expert->model)->clip[c->which].width;
    c->lot = lot_of(net);
    c->ids = stages_numbers((size_t)c->lot * TOKENIZER_LENGTH, err);
    c->out = stages_numbers((size_t)c->lot * TOKENIZER_LENGTH * c->width, err);
    c->eos = stages_numbers(net->last ? (size_t)n * c->width : 1, err);
    bool ok = c->ids && c->out && c->eos && stages_begin(c->stage, net, err);
    if (ok) {
        ok = run_lots(c, rows, row_width, c->set->n_different, first_call, calls, err);
        stages_end(c->stage, net, c->expert->text_phase, started);
    }
    if (ok && net->last && pooled)
        ok = text_pooled_project(pooled, c->eos, n, c->expert->model, err);
    free(c->ids);
    free(c->out);
    free(c->eos);
    return ok;
}

/* Each encoder over the different chunks. */
static bool run_encoders(float *rows, float *pooled, const struct encoder *job, struct error *err)
{
    const struct expert *e = job->expert;
    const size_t row_width = text_chunks_width(model_view(e->model));
    const int n = job->set->n_different;
    size_t at = 0;
    int calls = 0, call = 0;

    for (int i = 0; i < 2; i++)
        if (e->text[i])
            calls += (n + lot_of(e->text[i]) - 1) / lot_of(e->text[i]);
    for (int i = 0; i < 2; i++) {
        struct encoder c = *job;
        c.which = i;
        if (!e->text[i])
            continue;
        if (!run_encoder(&c, rows + at, row_width, pooled, call, calls, err))
            return false;
        call += (n + c.lot - 1) / c.lot;
        at += c.width;
    }
    return true;
}

/* Chunks that are equal to an earlier one take its answer. */
static void copy_same(float *x, const struct prompt_set *set, size_t each)
{
    for (int i = 0; i < set->n_texts * set->n_chunks; i++)
        if (set->same[i] != i)
            memcpy(x + (size_t)i * each, x + (size_t)set->same[i] * each, each * sizeof *x);
}

bool text_chunks_encode(float *rows, float *pooled, const struct stage *s, const struct expert *e,
                        const struct prompt_set *set, struct error *err)
{
    const struct model_info *info = model_view(e->model);
    int *places = calloc((size_t)set->n_different, sizeof *places);
    const struct encoder job = {.stage = s, .expert = e, .set = set, .places = places};

    if (!places)
        return error_set(err, ERROR_MEMORY, "no memory for the prompts' tokens");
    for (int i = 0, k = 0; i < set->n_texts * set->n_chunks; i++)
        if (set->same[i] == i)
            places[k++] = i;
    const bool ok = run_encoders(rows, pooled, &job, err);
    free(places);
    if (!ok)
        return false;
    copy_same(rows, set, TOKENIZER_LENGTH * text_chunks_width(info));
    if (pooled)
        copy_same(pooled, set, text_chunks_pooled_width(info));
    return true;
}
