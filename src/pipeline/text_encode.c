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

/* A plan knows its prompts by what they take. */
static bool check_plan(const struct prompt_set *set, const struct expert *e, int batch,
                       struct error *err)
{
    const struct network *net = e->unet;
    const int64_t tokens = graph_tensor_view(net->graph, net->unet.context)->shape.w;
    const int parts = e->denoise->batch * e->denoise->rounds / batch;
    bool ok = parts == set->n_parts && tokens == (int64_t)set->n_chunks * TOKENIZER_LENGTH;

    for (int i = 0; i < 2 && ok; i++) {
        const struct network *text = e->text[i];
        const int more = text ? text->more : 0;
        const int64_t vectors = more ? graph_tensor_view(text->graph, more)->shape.w : 0;
        ok = !text || vectors == set->words.n_vectors;
    }
    return ok ||
           error_set(err, ERROR_INVALID,
                     "the plan is for other prompts: %d texts of %lld tokens, not %d of %d", parts,
                     (long long)tokens, set->n_parts, set->n_chunks * TOKENIZER_LENGTH);
}

static bool check_width(const struct model_info *info, struct error *err)
{
    return text_chunks_width(info) == (size_t)info->unet.cross_attention_dim ||
           error_set(err, ERROR_CORRUPT,
                     "%s: the text encoders give %zu numbers a token, the UNet takes %d",
                     info->path, text_chunks_width(info), info->unet.cross_attention_dim);
}

/* The sizes behind a text's pooled part. */
static void write_sizes(struct text_cond *c, const struct expert *e, int n_ids)
{
    const struct model_info *info = model_view(e->model);
    const size_t pooled = text_chunks_pooled_width(info);

    for (int i = 0; i < c->set.n_texts; i++)
        write_size(c->added + (size_t)i * c->each_added + pooled, &info->unet, e->request, n_ids,
                   i < c->set.n_negative_texts);
}

/* A text's pooled part is that of its first chunk. */
static bool make_added(struct text_cond *out, const float *pools, const struct expert *e,
                       struct error *err)
{
    const struct model_info *info = model_view(e->model);
    const size_t pooled = text_chunks_pooled_width(info);
    const struct prompt_set *set = &out->set;
    int n_ids;

    if (!count_size_ids(&n_ids, info, err))
        return false;
    out->added = stages_numbers((size_t)set->n_texts * out->each_added, err);
    if (!out->added)
        return false;
    for (int i = 0; i < set->n_texts; i++)
        memcpy(out->added + (size_t)i * out->each_added,
               pools + (size_t)(i * set->n_chunks) * pooled, pooled * sizeof *pools);
    write_sizes(out, e, n_ids);
    return true;
}

void text_encode_set_size(struct text_cond *c, const struct expert *e)
{
    struct error checked = {0};
    int n_ids;

    if (c->added && count_size_ids(&n_ids, model_view(e->model), &checked))
        write_sizes(c, e, n_ids);
}

/* Pictures of a batch share the texts, and texts may change: then a call's are copied together. */
static bool make_call(struct text_cond *out, const struct stage *s, const struct expert *e,
                      struct error *err)
{
    const size_t batch = (size_t)e->denoise->batch;

    if (s->plan->batch == 1 && !out->set.changes)
        return true;
    out->call = stages_numbers(batch * (out->each + out->each_added), err);
    return out->call != NULL;
}

static bool encode(struct text_cond *out, const struct stage *s, const struct expert *e,
                   struct error *err)
{
    const struct model_info *info = model_view(e->model);
    const size_t chunks = (size_t)out->set.n_texts * (size_t)out->set.n_chunks;

    out->each = (size_t)out->set.n_chunks * TOKENIZER_LENGTH * text_chunks_width(info);
    out->each_added = (size_t)info->unet.addition_input_dim;
    out->rows = stages_numbers((size_t)out->set.n_texts * out->each, err);
    float *pools = stages_numbers(chunks * text_chunks_pooled_width(info), err);
    const bool ok =
        out->rows && pools &&
        text_chunks_encode(out->rows, out->each_added ? pools : NULL, s, e, &out->set, err) &&
        (!out->each_added || make_added(out, pools, e, err)) && make_call(out, s, e, err);
    free(pools);
    return ok;
}

bool text_encode(struct text_cond *out, const struct stage *s, const struct expert *e,
                 struct error *err)
{
    const struct prompt_source from = stages_prompts(e, s->embeddings_dir);

    *out = (struct text_cond){0};
    if (prompt_set_read(&out->set, &from, e->request, e == &s->base ? &s->result->warnings : NULL,
                        err) &&
        check_plan(&out->set, e, s->plan->batch, err) && check_width(model_view(e->model), err) &&
        encode(out, s, e, err))
        return true;
    text_encode_clear(out);
    return false;
}

void text_encode_clear(struct text_cond *c)
{
    prompt_set_clear(&c->set);
    free(c->rows);
    free(c->added);
    free(c->call);
    *c = (struct text_cond){0};
}
