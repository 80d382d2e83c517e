#include "pipeline/text_chunks.h"

#include <stdlib.h>
#include <string.h>

/* Scores the refiner was trained with, of a picture asked for and of one to be avoided. */
static const float WANTED_SCORE = 6, UNWANTED_SCORE = 2.5f;

enum { BASE_IDS = 6, REFINER_IDS = 5 };

/* SDXL's size conditioning: the size before scaling and cropping, the crop's corner, then the
 * target's size or, for the refiner, an aesthetic score. */
static void write_size(float *to, const struct unet_config *c, const struct gen_request *r,
                       int n_ids, bool unwanted)
{
    const float height = (float)r->height, width = (float)r->width;
    float ids[BASE_IDS] = {height, width, 0, 0, height, width};

    if (n_ids == REFINER_IDS)
        ids[4] = unwanted ? UNWANTED_SCORE : WANTED_SCORE;
    unet_timestep_embedding(to, ids, n_ids, c->addition_time_dim, c->flip_sin_to_cos,
                            c->freq_shift);
}

static bool count_size_ids(int *out, const struct model_info *info, struct error *err)
{
    const struct unet_config *c = &info->unet;
    const int left = c->addition_input_dim - info->clip[1].projection_dim;

    *out = 0;
    if (!c->addition_input_dim)
        return true;
    *out = c->addition_time_dim > 0 ? left / c->addition_time_dim : 0;
    if ((*out == BASE_IDS || *out == REFINER_IDS) && *out * c->addition_time_dim == left)
        return true;
    return error_set(err, ERROR_CORRUPT,
                     "%s: the UNet takes %d numbers beside the text; pooled text of %d numbers and "
                     "5 or 6 embedded ones of %d do not make that",
                     info->path, c->addition_input_dim, info->clip[1].projection_dim,
                     c->addition_time_dim);
}

/* The texts of a request, without the prompt first when guided, as the encoders answer. */
struct answers {
    int n, n_size_ids;
    size_t each;   /* numbers of a text's rows */
    size_t pooled; /* of its pooled text */
    float *rows, *pools;
};

static bool encode_texts(struct answers *a, const struct stage *s, const struct expert *e,
                         struct error *err)
{
    const char *const texts[] = {s->request->negative_prompt, s->request->prompt};
    const struct model_info *info = model_view(e->model);
    struct text_chunk chunks[2] = {0};

    for (int i = 0; i < a->n; i++)
        if (!text_chunks_from_text(&chunks[i], e, texts[2 - a->n + i], err))
            return false;
    if (text_chunks_width(info) != (size_t)info->unet.cross_attention_dim)
        return error_set(err, ERROR_CORRUPT,
                         "%s: the text encoders give %zu numbers a token, the UNet takes %d",
                         info->path, text_chunks_width(info), info->unet.cross_attention_dim);
    a->each = TOKENIZER_LENGTH * text_chunks_width(info);
    a->pooled = text_chunks_pooled_width(info);
    a->rows = stages_numbers((size_t)a->n * a->each, err);
    a->pools = stages_numbers((size_t)a->n * a->pooled, err);
    return a->rows && a->pools && count_size_ids(&a->n_size_ids, info, err) &&
           text_chunks_encode(a->rows, a->pooled ? a->pools : NULL, s, e, chunks, a->n, err);
}

/* Every picture of a batch has the same texts. */
static void spread(struct text_cond *out, const struct answers *a, const struct stage *s,
                   const struct expert *e)
{
    const struct unet_config *c = &model_view(e->model)->unet;
    const size_t copies = (size_t)s->plan->batch;

    for (size_t i = 0; i < (size_t)a->n * copies; i++) {
        const size_t text = i / copies;
        memcpy(out->rows + i * a->each, a->rows + text * a->each, a->each * sizeof *out->rows);
        if (!out->added)
            continue;
        float *added = out->added + i * (size_t)c->addition_input_dim;
        memcpy(added, a->pools + text * a->pooled, a->pooled * sizeof *added);
        write_size(added + a->pooled, c, s->request, a->n_size_ids, a->n == 2 && text == 0);
    }
}

bool text_encode(struct text_cond *out, const struct stage *s, const struct expert *e,
                 struct error *err)
{
    const size_t rows = (size_t)(e->denoise->batch * e->denoise->rounds);
    const size_t added = (size_t)model_view(e->model)->unet.addition_input_dim;
    struct answers a = {.n = (int)rows / s->plan->batch};

    *out = (struct text_cond){0};
    bool ok = encode_texts(&a, s, e, err);
    if (ok) {
        out->rows = stages_numbers(rows * a.each, err);
        out->added = added ? stages_numbers(rows * added, err) : NULL;
        ok = out->rows && (!added || out->added);
    }
    if (ok)
        spread(out, &a, s, e);
    else
        text_cond_clear(out);
    free(a.rows);
    free(a.pools);
    return ok;
}

void text_cond_clear(struct text_cond *c)
{
    free(c->rows);
    free(c->added);
    *c = (struct text_cond){0};
}
