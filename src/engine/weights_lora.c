#include "engine/weights_lora.h"

static struct weight_view view_of(const struct tensor_info *t)
{
    return (struct weight_view){t->bytes, t->dtype, (int64_t)(t->n_bytes / dtype_bytes(t->dtype))};
}

/* The graph's shape decides what the kernels read. */
static bool has_shape(const struct graph_weight *w, const struct lora_shape *s)
{
    const int64_t kernel = w->n_dims == 4 ? w->dims[2] : 1;
    return w->n_dims >= 2 && w->dims[0] == s->rows && w->dims[1] == s->columns &&
           kernel == s->kernel;
}

bool weights_lora_add(struct weights *w, struct graph *g, const struct lora_match *m,
                      enum model_part part, float scale, struct error *err)
{
    for (int i = 1; i <= graph_n_weights(g); i++) {
        const struct graph_weight *want = graph_weight_view(g, i);
        const struct lora_target *t = lora_match_find(m, part, want->name);
        if (!t || !has_shape(want, &t->shape) || !graph_add_rank(g, i, t->shape.rank))
            continue;
        const struct weight_delta delta = {.up = view_of(t->module->up),
                                           .down = view_of(t->module->down),
                                           .rank = t->shape.rank,
                                           .factor = scale * t->shape.factor};
        if (!weights_add_delta(w, i, &delta, err))
            return false;
    }
    return true;
}
