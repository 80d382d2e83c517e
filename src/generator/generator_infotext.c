#include "generator/generator_infotext.h"

#include "image/infotext.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PAIRS = 48, VALUE_BYTES = 64 };

/* Pairs with room for numbers. */
struct pairs {
    struct infotext_pair list[MAX_PAIRS];
    char room[MAX_PAIRS][VALUE_BYTES];
    int n;
};

static void add(struct pairs *p, const char *key, const char *value)
{
    if (p->n < MAX_PAIRS && value && value[0])
        p->list[p->n++] = (struct infotext_pair){key, value};
}

/* The shortest decimal that reads back as the same number. */
static void add_number(struct pairs *p, const char *key, double value)
{
    char *out = p->n < MAX_PAIRS ? p->room[p->n] : NULL;

    for (int digits = 1; out && digits <= 17; digits++) {
        snprintf(out, VALUE_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    add(p, key, out);
}

static void add_whole(struct pairs *p, const char *key, uint64_t value)
{
    char *out = p->n < MAX_PAIRS ? p->room[p->n] : NULL;

    if (out)
        snprintf(out, VALUE_BYTES, "%" PRIu64, value);
    add(p, key, out);
}

static void add_size(struct pairs *p, const char *key, int width, int height)
{
    char *out = p->n < MAX_PAIRS ? p->room[p->n] : NULL;

    if (out)
        snprintf(out, VALUE_BYTES, "%dx%d", width, height);
    add(p, key, out);
}

static const char *schedule_name(const struct sampler *sampler, const struct schedule *schedule)
{
    return schedule->kind == SCHEDULE_AUTOMATIC ? schedule_rows[sampler->schedule].name
                                                : schedule->name;
}

static void add_variation(struct pairs *p, const struct gen_request *r, int i)
{
    if (r->subseed_strength > 0) {
        add_whole(p, "Variation seed", gen_request_subseed(r, i));
        add_number(p, "Variation seed strength", r->subseed_strength);
    }
    if (r->seed_resize_width > 0 && r->seed_resize_height > 0)
        add_size(p, "Seed resize from", r->seed_resize_width, r->seed_resize_height);
}

static void add_hires(struct pairs *p, const struct gen_request *r)
{
    const struct gen_hires *h = &r->hires;

    if (!gen_request_has_hires(r))
        return;
    if (h->width > 0 || h->height > 0)
        add_size(p, "Hires resize", h->width, h->height);
    else
        add_number(p, "Hires upscale", h->scale);
    if (h->steps > 0)
        add_whole(p, "Hires steps", (uint64_t)h->steps);
    add(p, "Hires upscaler", h->upscaler);
    if (h->sampler)
        add(p, "Hires sampler", h->sampler->name);
    if (h->schedule)
        add(p, "Hires schedule type", h->schedule->name);
    if (gen_request_hires_has_prompts(r)) {
        add(p, "Hires prompt", h->prompt);
        add(p, "Hires negative prompt", h->negative_prompt);
    }
}

static void add_inpaint(struct pairs *p, const struct gen_request *r)
{
    static const char *const fills[MASK_BLEND_COUNT] = {"fill", "original", "latent noise",
                                                        "latent nothing"};
    const struct gen_inpaint *m = &r->inpaint;

    if (!r->input.has_mask)
        return;
    add_number(p, "Mask blur", m->blur_x);
    if (m->invert)
        add(p, "Mask mode", "Inpaint not masked");
    if (m->fill != MASK_BLEND_ORIGINAL)
        add(p, "Masked content", fills[m->fill]);
    if (m->full_res) {
        add(p, "Inpaint area", "Only masked");
        add_whole(p, "Masked area padding", (uint64_t)m->padding);
    }
}

static void add_sampling(struct pairs *p, const struct gen_request *r)
{
    const struct sampler_options *o = &r->sampling, *d = &sampler_options_default;

    if (o->eta != d->eta)
        add_number(p, "Eta", o->eta);
    if (o->s_churn != d->s_churn)
        add_number(p, "Sigma churn", o->s_churn);
    if (o->s_tmin != d->s_tmin)
        add_number(p, "Sigma tmin", o->s_tmin);
    if (o->s_tmax != d->s_tmax)
        add_number(p, "Sigma tmax", o->s_tmax);
    if (o->s_noise != d->s_noise)
        add_number(p, "Sigma noise", o->s_noise);
}

/* As web UIs write it: without the sub-folder. */
static const char *model_name(const struct generator_infotext *t)
{
    const char *name = t->model_name && t->model_name[0] ? t->model_name : t->model->name;
    const char *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

/* A1111's keys.  It takes a picture without RNG for one of its GPU generator, ours by default is
 * the CPU's, so that one is always named. */
bool generator_infotext_write(struct buf *out, const struct generator_infotext *t, int i,
                              struct error *err)
{
    const struct gen_request *r = t->request;
    struct pairs p = {.n = 0};
    char version[VALUE_BYTES];

    add_whole(&p, "Steps", (uint64_t)r->steps);
    add(&p, "Sampler", r->sampler->name);
    add(&p, "Schedule type", schedule_name(r->sampler, r->schedule));
    add_number(&p, "CFG scale", r->cfg_scale);
    add_whole(&p, "Seed", gen_request_seed(r, i));
    add_size(&p, "Size", r->width, r->height);
    if (t->requested->width != t->used->width || t->requested->height != t->used->height)
        add_size(&p, "Requested size", t->requested->width, t->requested->height);
    add(&p, "Model hash", t->model_hash);
    add(&p, "Model", model_name(t));
    add(&p, "VAE", t->model->vae_name);
    add_variation(&p, r, i);
    if (r->mode == GEN_IMG2IMG)
        add_number(&p, "Denoising strength", r->denoising_strength);
    else if (gen_request_has_hires(r))
        add_number(&p, "Denoising strength", r->hires.denoising_strength);
    add_hires(&p, r);
    add_inpaint(&p, r);
    if (r->clip_skip > 1)
        add_whole(&p, "Clip skip", (uint64_t)r->clip_skip);
    if (t->refiner) {
        add(&p, "Refiner", t->refiner);
        add_number(&p, "Refiner switch at", r->refiner_switch_at);
    }
    add(&p, "LoRAs", t->loras);
    add_sampling(&p, r);
    add(&p, "RNG", r->rng == RNG_CPU ? "CPU" : "");
    snprintf(version, sizeof version, "diffusionapi %s", t->version);
    add(&p, "Version", version);
    add(&p, "User", t->user);
    if (!infotext_write(out, r->prompt, r->negative_prompt, p.list, (size_t)p.n, err))
        return false;
    buf_add(out, "", 1);
    return !out->failed || error_set(err, ERROR_MEMORY, "no memory for the picture's text");
}
