#include "nn/clip.h"

#include "nn/blocks.h"

static const struct blocks_extra plain; /* bias, nothing else */

static int linear(struct graph *g, int x, int64_t out_c, struct blocks_extra extra,
                  const char *layer, const char *name)
{
    return blocks_linear(g, (struct graph_source){.x = x}, out_c, extra,
                         blocks_name("%s.%s", layer, name).text);
}

static int embed(struct graph *g, const struct clip_config *c, int ids, int more)
{
    const int64_t tokens[2] = {c->vocab_size, c->width};
    const int64_t positions[2] = {c->max_positions, c->width};
    struct graph_embed op = {.ids = ids, .more = more};

    op.tokens = graph_weight(g, 2, tokens, "text_model.embeddings.token_embedding.weight");
    op.position = graph_weight(g, 2, positions, "text_model.embeddings.position_embedding.weight");
    return graph_embed(g, &op); /* [n, width, 1, tokens] */
}

/* Norm before attention and before the two-layer perceptron; each adds to what came in. */
static int encoder_layer(struct graph *g, const struct clip_config *c, int x, int i)
{
    const struct blocks_name layer = blocks_name("text_model.encoder.layers.%d", i);
    const enum graph_act act =
        c->act == MODEL_ACT_QUICK_GELU ? GRAPH_ACT_QUICK_GELU : GRAPH_ACT_GELU;

    int in = blocks_layer_norm(g, x, c->norm_eps, blocks_name("%s.layer_norm1", layer.text).text);
    const struct graph_attention attention = {
        .q = linear(g, in, c->width, plain, layer.text, "self_attn.q_proj"),
        .k = linear(g, in, c->width, plain, layer.text, "self_attn.k_proj"),
        .v = linear(g, in, c->width, plain, layer.text, "self_attn.v_proj"),
        .heads = c->heads,
        .causal = true,
    };
    x = linear(g, graph_attention(g, &attention), c->width, (struct blocks_extra){.residual = x},
               layer.text, "self_attn.out_proj");

    in = blocks_layer_norm(g, x, c->norm_eps, blocks_name("%s.layer_norm2", layer.text).text);
    in = linear(g, in, c->intermediate, (struct blocks_extra){.act = act}, layer.text, "mlp.fc1");
    return linear(g, in, c->width, (struct blocks_extra){.residual = x}, layer.text, "mlp.fc2");
}

static bool check(struct graph *g, const struct clip_config *c, int ids, int skip)
{
    if (skip < 1 || skip > c->layers)
        graph_fail(g, "clip skip %d: this text encoder has layers 1 to %d", skip, c->layers);
    else if (blocks_shape(g, ids).w > c->max_positions)
        graph_fail(g, "%lld tokens, but the text encoder has %d positions",
                   (long long)blocks_shape(g, ids).w, c->max_positions);
    else
        return true;
    return false;
}

static int final_layer_norm(struct graph *g, const struct clip_config *c, int x)
{
    return blocks_layer_norm(g, x, c->norm_eps, "text_model.final_layer_norm");
}

int clip_build_words(struct graph *g, const struct clip_config *c, int ids, int more, int skip,
                     bool final_norm)
{
    if (!check(g, c, ids, skip))
        return 0;
    int x = embed(g, c, ids, more);
    for (int i = 0; i <= c->layers - skip; i++)
        x = encoder_layer(g, c, x, i);
    return final_norm ? final_layer_norm(g, c, x) : x;
}

int clip_build(struct graph *g, const struct clip_config *c, int ids, int skip, bool final_norm)
{
    return clip_build_words(g, c, ids, 0, skip, final_norm);
}

int clip_build_with_last(struct graph *g, const struct clip_config *c, int ids, int more, int skip,
                         int *last)
{
    int hidden = 0;

    *last = 0;
    if (!check(g, c, ids, skip))
        return 0;
    int x = embed(g, c, ids, more);
    for (int i = 0; i < c->layers; i++) {
        x = encoder_layer(g, c, x, i);
        if (i == c->layers - skip)
            hidden = x;
    }
    *last = final_layer_norm(g, c, x);
    return hidden;
}
