#include "model/model_config_tiny.h"

#include "model/model_config_check.h"

enum { MAX_LEVELS = MODEL_MAX_LEVELS };

bool model_config_tiny_is(const struct model_index *x)
{
    return model_index_find(x, MODEL_VAE, "decoder.layers.0.weight") ||
           model_index_find(x, MODEL_VAE, "encoder.layers.0.weight");
}

/* One half while its numbers are walked. */
struct walk {
    const struct model_index *x;
    const char *half, *file;
    int at; /* number of the layer */
    int levels;
    int blocks[MAX_LEVELS];
    int in, out, width;
};

static const struct model_tensor *conv_at(const struct walk *w)
{
    return model_index_findf(w->x, MODEL_VAE, "%s.layers.%d.weight", w->half, w->at);
}

static bool is_block(const struct walk *w)
{
    return model_index_findf(w->x, MODEL_VAE, "%s.layers.%d.conv.0.weight", w->half, w->at);
}

static bool has_bias(const struct walk *w)
{
    return model_index_findf(w->x, MODEL_VAE, "%s.layers.%d.bias", w->half, w->at);
}

static bool refuse(const struct walk *w, const char *why, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "%s: the tiny autoencoder's %s: layer %d %s", w->file,
                     w->half, w->at, why);
}

static bool want_conv(const struct walk *w, int *from, int *to, struct error *err)
{
    const struct model_tensor *t = conv_at(w);

    if (!t)
        return refuse(w, "is missing", err);
    if (t->n_dims != 4 || t->dims[0] < 1 || t->dims[0] > MODEL_MAX_CHANNELS || t->dims[1] < 1 ||
        t->dims[1] > MODEL_MAX_CHANNELS || t->dims[2] != 3 || t->dims[3] != 3)
        return refuse(w, "is no 3x3 convolution", err);
    *to = (int)t->dims[0];
    *from = (int)t->dims[1];
    return true;
}

/* The convolutions between the first and the last one keep the width. */
static bool want_inner(const struct walk *w, struct error *err)
{
    int from, to;
    return want_conv(w, &from, &to, err) &&
           ((from == w->width && to == w->width) || refuse(w, "changes the width", err));
}

/* The blocks of a level; false for a level too many. */
static bool take_blocks(struct walk *w, struct error *err)
{
    int n = 0;

    if (w->levels == MAX_LEVELS)
        return refuse(w, "begins a level too many", err);
    for (; is_block(w) && n < MODEL_MAX_LAYERS; n++)
        w->at++;
    w->blocks[w->levels++] = n;
    return true;
}

static bool walk_encoder(struct walk *w, struct error *err)
{
    int from;

    if (!want_conv(w, &w->in, &w->width, err))
        return false;
    w->at++;
    for (;;) {
        if (!take_blocks(w, err))
            return false;
        if (has_bias(w) || !conv_at(w))
            break;
        if (!want_inner(w, err))
            return false;
        w->at++;
    }
    return want_conv(w, &from, &w->out, err) &&
           (from == w->width || refuse(w, "changes the width", err));
}

static bool walk_decoder(struct walk *w, struct error *err)
{
    int from;

    if (!want_conv(w, &w->in, &w->width, err))
        return false;
    w->at += 2; /* a ReLU */
    for (;;) {
        if (!take_blocks(w, err))
            return false;
        if (conv_at(w))
            break;
        w->at++; /* the doubling */
        if (!want_inner(w, err))
            return false;
        w->at++;
    }
    return want_conv(w, &from, &w->out, err) &&
           (from == w->width || refuse(w, "changes the width", err));
}

bool model_config_tiny(struct vae_config *out, const struct model_index *x, const char *file,
                       struct error *err)
{
    struct walk d = {.x = x, .half = "decoder", .file = file};
    struct walk e = {.x = x, .half = "encoder", .file = file};
    struct vae_config c = {.layers_per_block = 1, .groups = 1, .scaling_factor = 1, .tiny = true};

    c.no_encoder = !model_index_find(x, MODEL_VAE, "encoder.layers.0.weight");
    if (!walk_decoder(&d, err) || (!c.no_encoder && !walk_encoder(&e, err)))
        return false;
    if (!c.no_encoder &&
        (e.levels != d.levels || e.in != d.out || e.out != d.in || e.width != d.width))
        return error_set(err, ERROR_CORRUPT,
                         "%s: the tiny autoencoder's encoder and decoder do not fit together",
                         file);
    c.in_channels = c.out_channels = d.out;
    c.latent_channels = d.in;
    c.n_levels = d.levels;
    for (int i = 0; i < d.levels; i++) {
        c.channels[i] = d.width;
        c.decoder_blocks[i] = d.blocks[i];
        c.encoder_blocks[i] = e.blocks[i];
    }
    if (!model_config_check_vae(&c, file, err))
        return false;
    *out = c;
    return true;
}
