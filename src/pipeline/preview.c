#include "pipeline/preview.h"

#include "model/model_vae.h"
#include "nn/taesd.h"
#include "nn/vae.h"
#include "plan/network.h"

#include <stdlib.h>

/* Rows of a TAESD's bands: little memory at a tenth more time. */
enum { BAND_ROWS = 16, CHANNELS = 4, COLOURS = 3 };

/* A picture's floats, its bytes and what its file takes while it is written. */
enum { PIXEL_BYTES = COLOURS * sizeof(float) + 3 + 4 };

struct preview {
    struct backend *backend;
    struct model *taesd; /* NULL: linear */
    bool sdxl;
    int longest; /* side of a latent that is drawn as it is */
    size_t most_bytes;

    /* For latents of one size, made when the first of them comes. */
    struct network net;
    int net_w, net_h;
    void *arena;
    size_t arena_bytes;
};

/* How a latent's channels add up to red, green and blue in -1..1: fitted to the decoders of SD 1.x
 * (users keturn and torridgristle at discuss.huggingface.co, "Decoding latents to RGB without
 * upscaling", 2022) and of SDXL (as AUTOMATIC1111's "Approx cheap" previews use them). */
static const float factors[2][CHANNELS][COLOURS] = {
    {{0.298f, 0.207f, 0.208f},
     {0.187f, 0.286f, 0.173f},
     {-0.158f, 0.189f, 0.264f},
     {-0.184f, -0.271f, -0.473f}},
    {{0.3448f, 0.4168f, 0.4395f},
     {-0.1953f, -0.0290f, 0.0250f},
     {0.1074f, 0.0886f, -0.0163f},
     {-0.3730f, -0.2499f, -0.2088f}},
};

static bool make_network(struct network *out, const struct preview *p, int w, int h,
                         struct error *err)
{
    const struct network_vae_options options = {.band_rows = BAND_ROWS};
    return network_vae_decoder(out, p->taesd, p->backend, 1, h, w, &options, err);
}

/* What the largest preview takes; a smaller one takes less. */
static bool measure(struct preview *p, struct error *err)
{
    const size_t side = (size_t)p->longest;
    struct network net = {0};

    p->most_bytes = side * side * CHANNELS * sizeof(float);
    if (!p->taesd) {
        p->most_bytes += side * side * PIXEL_BYTES;
        return true;
    }
    const size_t scale = (size_t)vae_scale(&model_view(p->taesd)->vae);
    if (!make_network(&net, p, p->longest, p->longest, err))
        return false;
    p->most_bytes +=
        net.arena_bytes + net.resident_bytes + side * scale * side * scale * PIXEL_BYTES;
    network_clear(&net);
    return true;
}

static bool open_taesd(struct preview *p, const struct model *m, const char *path,
                       struct error *err)
{
    if (!model_vae_open(&p->taesd, path, model_view(m), err))
        return false;
    const struct vae_config *c = &model_view(p->taesd)->vae;
    if (!c->tiny)
        return error_set(err, ERROR_INVALID, "%s: previews take a TAESD, this is a whole VAE",
                         path);
    if (c->latent_channels != model_view(m)->vae.latent_channels)
        return error_set(
            err, ERROR_INVALID, "%s: this TAESD's latents have %d channels, those of %s have %d",
            path, c->latent_channels, model_view(m)->name, model_view(m)->vae.latent_channels);
    p->longest = PREVIEW_TAESD_SIDE;
    return true;
}

bool preview_open(struct preview **out, const struct model *m, const char *taesd_path,
                  struct backend *b, struct error *err)
{
    struct preview *p = calloc(1, sizeof *p);

    if (!p)
        return error_set(err, ERROR_MEMORY, "no memory for previews");
    p->backend = b;
    p->sdxl = model_view(m)->family != MODEL_SD1;
    p->longest = PREVIEW_LINEAR_SIDE;
    bool ok = taesd_path ? open_taesd(p, m, taesd_path, err)
                         : model_view(m)->vae.latent_channels == CHANNELS ||
                               error_set(err, ERROR_INVALID,
                                         "%s: previews without a TAESD know latents of %d channels",
                                         model_view(m)->name, CHANNELS);
    if (!ok || !measure(p, err)) {
        preview_close(p);
        return false;
    }
    *out = p;
    return true;
}

static void drop_network(struct preview *p)
{
    network_clear(&p->net);
    if (p->arena)
        p->backend->fn->arena_free(p->backend, p->arena, p->arena_bytes);
    p->arena = NULL;
}

void preview_close(struct preview *p)
{
    if (!p)
        return;
    drop_network(p);
    model_close(p->taesd);
    free(p);
}

size_t preview_bytes(const struct preview *p)
{
    return p->most_bytes;
}

static bool ensure_network(struct preview *p, int w, int h, struct error *err)
{
    if (p->arena && p->net_w == w && p->net_h == h)
        return true;
    drop_network(p);
    if (!make_network(&p->net, p, w, h, err))
        return false;
    p->net_w = w;
    p->net_h = h;
    p->arena_bytes = p->net.arena_bytes;
    return p->backend->fn->arena_new(p->backend, &p->arena, p->arena_bytes, err);
}

/* A latent as it is drawn. */
struct small {
    float *x; /* owned; planes */
    int channels, w, h;
};

/* The mean of the places that fall on one; fewer at the right and lower edges. */
static float mean(const float *plane, int w, int h, int x0, int y0, int step)
{
    double sum = 0;
    int n = 0;

    for (int y = y0; y < y0 + step && y < h; y++)
        for (int x = x0; x < x0 + step && x < w; x++, n++)
            sum += plane[(size_t)y * (size_t)w + (size_t)x];
    return (float)(sum / n);
}

static bool shrink(struct small *out, const float *latent, int channels, int w, int h, int longest,
                   struct error *err)
{
    const int side = w > h ? w : h, step = (side + longest - 1) / longest;
    const struct small s = {
        .channels = channels, .w = (w + step - 1) / step, .h = (h + step - 1) / step};
    const size_t places = (size_t)s.w * (size_t)s.h;
    float *to = calloc(places * (size_t)channels, sizeof *to);

    if (!to)
        return error_set(err, ERROR_MEMORY, "no memory for a preview");
    *out = s;
    out->x = to;
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < s.h; y++)
            for (int x = 0; x < s.w; x++)
                *to++ = mean(latent + (size_t)c * (size_t)w * (size_t)h, w, h, x * step, y * step,
                             step);
    return true;
}

static bool draw_linear(const struct preview *p, struct image *out, const struct small *s,
                        struct error *err)
{
    const size_t places = (size_t)s->w * (size_t)s->h;
    float *pixels = calloc(places * COLOURS, sizeof *pixels);

    if (!pixels)
        return error_set(err, ERROR_MEMORY, "no memory for a preview");
    for (size_t i = 0; i < places; i++)
        for (size_t c = 0; c < CHANNELS; c++)
            for (size_t k = 0; k < COLOURS; k++)
                pixels[i * COLOURS + k] += s->x[c * places + i] * factors[p->sdxl][c][k];
    bool ok = image_from_floats(out, pixels, s->w, s->h, IMAGE_HWC, IMAGE_SIGNED, err);
    free(pixels);
    return ok;
}

static bool draw_taesd(struct preview *p, struct image *out, struct small *s, struct error *err)
{
    const struct vae_config *c = &model_view(p->taesd)->vae;
    const int scale = vae_scale(c), w = s->w * scale, h = s->h * scale;
    const size_t n = (size_t)s->w * (size_t)s->h * (size_t)s->channels;

    if (!ensure_network(p, s->w, s->h, err))
        return false;
    float *pixels = calloc((size_t)w * (size_t)h * COLOURS, sizeof *pixels);
    if (!pixels)
        return error_set(err, ERROR_MEMORY, "no memory for a preview");
    for (size_t i = 0; i < n; i++)
        s->x[i] = s->x[i] / c->scaling_factor + c->shift_factor;
    taesd_clamp(s->x, n);
    bool ok = exec_start(p->net.exec, p->arena, err);
    if (ok) {
        exec_write(p->net.exec, p->net.in, s->x, BACKEND_PLANES);
        ok = exec_run(p->net.exec, NULL, NULL, err);
        if (ok)
            exec_read(p->net.exec, p->net.out, pixels, BACKEND_ROWS);
        exec_stop(p->net.exec);
        p->backend->fn->arena_idle(p->backend, p->arena, p->arena_bytes);
    }
    ok = ok && image_from_floats(out, pixels, w, h, IMAGE_HWC, IMAGE_UNIT, err);
    free(pixels);
    return ok;
}

bool preview_draw(struct preview *p, struct image *out, const float *latent, int w, int h,
                  struct error *err)
{
    const int channels = p->taesd ? model_view(p->taesd)->vae.latent_channels : CHANNELS;
    struct small s = {0};

    if (!shrink(&s, latent, channels, w, h, p->longest, err))
        return false;
    bool ok = p->taesd ? draw_taesd(p, out, &s, err) : draw_linear(p, out, &s, err);
    free(s.x);
    return ok;
}
