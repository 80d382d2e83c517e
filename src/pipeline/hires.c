#include "pipeline/hires.h"

#include "base/clock.h"
#include "image/builtin_upscaler.h"
#include "memory/process_memory.h"
#include "nn/vae.h"
#include "pipeline/upscale.h"
#include "pipeline/vae_encode.h"

#include <stdlib.h>
#include <string.h>

/* What is enlarged covers the target; what is over is cut off around its middle. */
struct cut {
    int cover_w, cover_h; /* latent places */
    int x, y;
};

static struct cut cut_of(const struct stage *s)
{
    const int scale = vae_scale(&model_view(s->base.model)->vae);
    struct cut c;

    gen_request_hires_cover(s->request, &c.cover_w, &c.cover_h);
    c.cover_w /= scale;
    c.cover_h /= scale;
    c.x = (c.cover_w - s->second.width / scale) / 2;
    c.y = (c.cover_h - s->second.height / scale) / 2;
    return c;
}

/* --- Latents. --- */

static void cut_planes(float *out, const float *in, const struct plan_stage *to,
                       const struct cut *c, size_t planes)
{
    const size_t w = (size_t)to->latent_w, h = (size_t)to->latent_h;
    const size_t row = (size_t)c->cover_w, plane = row * (size_t)c->cover_h;

    for (size_t k = 0; k < planes; k++)
        for (size_t y = 0; y < h; y++)
            memcpy(out + (k * h + y) * w, in + k * plane + ((size_t)c->y + y) * row + (size_t)c->x,
                   w * sizeof *out);
}

static bool enlarge_latents(struct latents *out, const struct latents *x, const struct stage *s,
                            enum latent_resize_mode mode, struct error *err)
{
    const struct plan_stage *from = &s->plan->phase[PLAN_DENOISE];
    const struct plan_stage *to = &s->plan->phase[PLAN_HIRES_DENOISE];
    const size_t batch = (size_t)s->plan->batch;
    const size_t channels = x->each / ((size_t)from->latent_w * (size_t)from->latent_h);
    const struct cut c = cut_of(s);
    const bool cuts = c.cover_w != to->latent_w || c.cover_h != to->latent_h;

    out->each = channels * (size_t)to->latent_w * (size_t)to->latent_h;
    out->x = stages_numbers(out->each * batch, err);
    float *cover =
        cuts ? stages_numbers(batch * channels * (size_t)c.cover_w * (size_t)c.cover_h, err)
             : out->x;
    bool ok = out->x && cover &&
              latent_resize(cover, c.cover_w, c.cover_h, x->x, from->latent_w, from->latent_h,
                            channels * batch, mode, err);
    if (ok && cuts)
        cut_planes(out->x, cover, to, &c, channels * batch);
    if (cuts)
        free(cover);
    return ok;
}

/* --- Pictures. --- */

struct upscale_report {
    const struct watch *watch;
    double first, all; /* runs before this one, and all of them */
};

static void report(void *ctx, double done, double total)
{
    const struct upscale_report *r = ctx;
    if (r->watch && r->watch->progress)
        r->watch->progress(r->watch->ctx, PLAN_HIRES_UPSCALE, r->first + done / total, r->all);
}

static bool is_cancelled(void *ctx)
{
    const struct upscale_report *r = ctx;
    return r->watch && r->watch->cancelled && r->watch->cancelled(r->watch->ctx);
}

/* Replaces picture i by what the networks make of it. */
static bool run_networks(struct image *picture, int i, const struct stage *s, struct error *err)
{
    struct gen_plan *plan = s->plan;

    for (int k = 0; k < plan->n_upscales; k++) {
        struct upscale_report r = {s->watch, i * plan->n_upscales + k,
                                   plan->batch * plan->n_upscales};
        const struct upscale_watch watch = {&r, report, is_cancelled};
        struct image larger = {0};
        process_memory_return_freed();
        if (!upscale_run_inside(&larger, s->upscaler, &plan->upscale[k], picture, s->arena, &watch,
                                err))
            return false;
        image_clear(picture);
        *picture = larger;
    }
    return true;
}

/* Brings a picture to the size that covers the target and cuts it; "None" is a plain resizing. */
static bool fit(struct image *picture, const struct stage *s, struct error *err)
{
    const struct gen_hires *h = &s->request->hires;
    const struct builtin_upscaler *row =
        h->upscaler_path ? NULL : builtin_upscaler_find(h->upscaler);
    const enum resize_filter filter = row && !row->keeps_size ? row->filter : RESIZE_LANCZOS;
    const int scale = vae_scale(&model_view(s->base.model)->vae);
    const struct gen_request *to = &s->second;
    const struct cut c = cut_of(s);
    const int width = c.cover_w * scale, height = c.cover_h * scale;
    struct image made;

    if (picture->width != width || picture->height != height) {
        if (!resize_image(&made, picture, width, height, filter, err))
            return false;
        image_clear(picture);
        *picture = made;
    }
    if (to->width == width && to->height == height)
        return true;
    if (!image_crop(&made, picture, c.x * scale, c.y * scale, to->width, to->height, err))
        return false;
    image_clear(picture);
    *picture = made;
    return true;
}

static bool enlarge_pictures(struct image *pictures, const struct stage *s, struct error *err)
{
    const double started = clock_seconds();
    bool ok = true;

    for (int i = 0; ok && i < s->plan->batch; i++)
        ok = run_networks(&pictures[i], i, s, err) && fit(&pictures[i], s, err);
    if (s->plan->n_upscales > 0)
        s->backend->fn->arena_idle(s->backend, s->arena, s->plan->arena_bytes);
    process_memory_return_freed();
    s->result->seconds[PLAN_HIRES_UPSCALE] += clock_seconds() - started;
    return ok;
}

/* What an inpainting model's second pass is shown: everything is painted anew. */
static bool show_gray(float **shown, struct vae_encode *e, struct error *err)
{
    const size_t channels = (size_t)e->config->latent_channels;

    *shown = stages_numbers((channels + 1) * e->places, err);
    if (!*shown)
        return false;
    for (size_t i = 0; i < e->places; i++)
        (*shown)[i] = 1;
    vae_encode_gray(e);
    if (!vae_encode_run(e, err))
        return false;
    vae_encode_mean(e, *shown + e->places);
    return true;
}

/* pictures NULL: only what the model is shown. */
static bool encode(struct latents *out, float **shown, struct image *pictures,
                   const struct stage *s, struct error *err)
{
    const struct model_info *info = model_view(s->base.model);
    struct vae_encode e = {0};

    bool ok = vae_encode_begin(&e, s, PLAN_HIRES_ENCODE, err);
    if (ok && pictures) {
        out->each = (size_t)info->vae.latent_channels * e.places;
        out->x = stages_numbers(out->each * (size_t)s->plan->batch, err);
        ok = out->x != NULL;
    }
    for (int i = 0; ok && pictures && i < s->plan->batch; i++) {
        vae_encode_picture(&e, &pictures[i]);
        image_clear(&pictures[i]);
        ok = vae_encode_run(&e, err);
        if (ok)
            vae_encode_mean(&e, out->x + (size_t)i * out->each);
    }
    ok = ok && (!network_is_inpainting(info) || show_gray(shown, &e, err));
    vae_encode_end(&e);
    return ok;
}

bool hires_pictures(struct image *pictures, struct latents *x, const struct stage *s,
                    struct error *err)
{
    const bool ok = vae_decode(pictures, s, PLAN_HIRES_DECODE, x, err);

    free(x->x);
    x->x = NULL;
    return ok && enlarge_pictures(pictures, s, err);
}

static bool through_pictures(struct latents *out, struct latents *x, float **shown,
                             const struct stage *s, struct error *err)
{
    struct image *pictures = calloc((size_t)s->plan->batch, sizeof *pictures);
    bool ok = pictures || error_set(err, ERROR_MEMORY, "no memory for %d pictures", s->plan->batch);

    ok = ok && hires_pictures(pictures, x, s, err) && encode(out, shown, pictures, s, err);
    for (int i = 0; pictures && i < s->plan->batch; i++)
        image_clear(&pictures[i]);
    free(pictures);
    return ok;
}

bool hires_enlarge(struct latents *x, float **shown, const struct stage *s, struct error *err)
{
    const struct builtin_upscaler *row =
        s->request->hires.upscaler_path ? NULL : builtin_upscaler_find(s->request->hires.upscaler);
    struct latents made = {0};
    bool ok;

    free(*shown);
    *shown = NULL;
    if (!row || !row->is_latent)
        ok = through_pictures(&made, x, shown, s, err);
    else
        ok = (!s->plan->phase[PLAN_HIRES_ENCODE].used || encode(NULL, shown, NULL, s, err)) &&
             enlarge_latents(&made, x, s, row->latent, err);
    free(x->x);
    *x = made;
    if (ok)
        return true;
    free(x->x);
    free(*shown);
    *x = (struct latents){0};
    *shown = NULL;
    return false;
}
