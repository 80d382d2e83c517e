#include "model/model_config_check.h"

static bool divides(int whole, int part, const char *what, const char *parts, const char *where,
                    struct error *err)
{
    if (part > 0 && whole % part == 0)
        return true;
    return error_set(err, ERROR_CORRUPT, "%s: %s %d cannot be divided into %d %s", where, what,
                     whole, part, parts);
}

static bool in_range(int value, int max, const char *what, const char *where, struct error *err)
{
    if (value >= 1 && value <= max)
        return true;
    return error_set(err, ERROR_CORRUPT, "%s: %s is %d: it must be from 1 to %d", where, what,
                     value, max);
}

bool model_config_check_clip(const struct clip_config *c, const char *where, struct error *err)
{
    return in_range(c->width, MODEL_MAX_CHANNELS, "the width", where, err) &&
           in_range(c->intermediate, 4 * MODEL_MAX_CHANNELS, "the inner width", where, err) &&
           in_range(c->layers, MODEL_MAX_LAYERS, "the number of layers", where, err) &&
           divides(c->width, c->heads, "the width", "heads", where, err) &&
           in_range(c->max_positions, 4096, "the number of positions", where, err) &&
           in_range(c->vocab_size, 1 << 20, "the vocabulary's size", where, err);
}

bool model_config_check_unet(const struct unet_config *c, const char *where, struct error *err)
{
    if (!in_range(c->in_channels, MODEL_MAX_CHANNELS, "in_channels", where, err) ||
        !in_range(c->out_channels, MODEL_MAX_CHANNELS, "out_channels", where, err) ||
        !in_range(c->n_levels, MODEL_MAX_LEVELS, "the number of levels", where, err) ||
        !in_range(c->layers_per_block, MODEL_MAX_LAYERS, "layers_per_block", where, err) ||
        !in_range(c->mid_transformer_layers, MODEL_MAX_LAYERS, "the middle's transformer depth",
                  where, err) ||
        !in_range(c->cross_attention_dim, MODEL_MAX_CHANNELS, "cross_attention_dim", where, err))
        return false;
    for (int i = 0; i < c->n_levels; i++) {
        if (!in_range(c->channels[i], MODEL_MAX_CHANNELS, "a level's width", where, err) ||
            !divides(c->channels[i], c->groups, "a level's width", "norm groups", where, err))
            return false;
        if (c->transformer_layers[i] < 0 || c->transformer_layers[i] > MODEL_MAX_LAYERS)
            return error_set(err, ERROR_CORRUPT, "%s: a transformer depth is %d: at most %d", where,
                             c->transformer_layers[i], MODEL_MAX_LAYERS);
        if (c->transformer_layers[i] > 0 &&
            !divides(c->channels[i], c->heads[i], "a level's width", "heads", where, err))
            return false;
    }
    /* The sinusoidal embeddings pair a sine with a cosine. */
    return divides(c->channels[0], 2, "the first width", "halves", where, err) &&
           divides(c->addition_time_dim, 2, "the width of time ids", "halves", where, err) &&
           divides(c->channels[c->n_levels - 1], c->mid_heads, "the middle's width", "heads", where,
                   err);
}

bool model_config_check_vae(const struct vae_config *c, const char *where, struct error *err)
{
    if (!in_range(c->in_channels, MODEL_MAX_CHANNELS, "in_channels", where, err) ||
        !in_range(c->out_channels, MODEL_MAX_CHANNELS, "out_channels", where, err) ||
        !in_range(c->latent_channels, MODEL_MAX_CHANNELS, "latent_channels", where, err) ||
        !in_range(c->n_levels, MODEL_MAX_LEVELS, "the number of levels", where, err) ||
        !in_range(c->layers_per_block, MODEL_MAX_LAYERS, "layers_per_block", where, err))
        return false;
    for (int i = 0; i < c->n_levels; i++)
        if (!in_range(c->channels[i], MODEL_MAX_CHANNELS, "a level's width", where, err) ||
            !divides(c->channels[i], c->groups, "a level's width", "norm groups", where, err))
            return false;
    return true;
}
