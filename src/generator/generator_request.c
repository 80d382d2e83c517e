#include "generator/generator_request.h"

#include "request/resize_target.h"

#include <math.h>
#include <string.h>

/* To the nearest multiple of 8, not below 64. */
static int rounded_side(int px)
{
    int side = (px + 4) / 8 * 8;
    return side < 64 ? 64 : side;
}

static int side_of(int asked, int input_px, int native)
{
    if (asked > 0)
        return asked;
    return input_px > 0 ? rounded_side(input_px) : native;
}

struct gen_limits generator_request_limits(const struct settings *s)
{
    struct gen_limits limits = gen_request_default_limits();
    limits.max_side = (int)s->max_side;
    limits.max_pixels = s->max_pixels;
    limits.max_steps = (int)s->max_steps;
    limits.max_batch = (int)s->max_batch;
    return limits;
}

static struct resize_target_number number_of(double n)
{
    return (struct resize_target_number){.is_given = n > 0, .value = n};
}

static struct resize_target_pair pair_of(struct gen_job_size s)
{
    return (struct resize_target_pair){.is_given = s.width > 0 || s.height > 0,
                                       .width = number_of(s.width),
                                       .height = number_of(s.height)};
}

/* Pixels of the picture that is asked for. */
static bool find_size(struct gen_request *r, const struct gen_job *j,
                      const struct generator_request_about *a, struct error *err)
{
    const int native = generator_model_native_side(a->info);

    if (j->mode != GEN_JOB_IMG2IMG || j->exact_size) {
        r->width = side_of(j->width, a->input_width, native);
        r->height = side_of(j->height, a->input_height, native);
        return true;
    }
    const struct resize_target_wish wish = {.to = pair_of(j->resize_to),
                                            .by = pair_of(j->resize_by),
                                            .width = j->width > 0 ? j->width : native,
                                            .height = j->height > 0 ? j->height : native};
    if (!resize_target_find(&r->width, &r->height, &wish, a->input_width, a->input_height, err))
        return false;
    r->width = r->width < 64 ? 64 : r->width;
    r->height = r->height < 64 ? 64 : r->height;
    return true;
}

static struct gen_hires hires_of(const struct gen_job *j, const char *upscaler_path)
{
    const struct gen_job_hires *h = &j->hires;

    return (struct gen_hires){.enabled = h->enabled && j->mode == GEN_JOB_TXT2IMG,
                              .scale = h->scale,
                              .width = h->width,
                              .height = h->height,
                              .upscaler = h->upscaler,
                              .upscaler_path = upscaler_path,
                              .steps = h->steps,
                              .denoising_strength = h->denoising_strength,
                              .sampler = h->sampler,
                              .schedule = h->schedule,
                              .prompt = h->prompt,
                              .negative_prompt = h->negative_prompt};
}

static struct gen_inpaint inpaint_of(const struct gen_job_mask *m)
{
    return (struct gen_inpaint){.blur_x = m->blur_x,
                                .blur_y = m->blur_y,
                                .fill = (enum mask_blend_fill)m->fill,
                                .full_res = m->full_res,
                                .padding = m->padding,
                                .invert = m->invert,
                                .round = m->round};
}

static struct sampler_options sampling_of(const struct gen_job *j)
{
    struct sampler_options o = sampler_options_default;

    if (j->eta >= 0)
        o.eta = j->eta;
    o.s_churn = j->s_churn;
    o.s_tmin = j->s_tmin;
    if (j->s_tmax >= 0)
        o.s_tmax = j->s_tmax;
    o.s_noise = j->s_noise;
    return o;
}

static enum gen_syntax syntax_of(const struct gen_job *j, const struct settings *s)
{
    if (j->prompt_syntax >= 0)
        return (enum gen_syntax)j->prompt_syntax;
    return strcmp(s->prompt_syntax, "off") == 0 ? GEN_SYNTAX_OFF : GEN_SYNTAX_WEBUI;
}

bool generator_request_make(struct gen_request *out, const struct gen_job *j,
                            const struct generator_request_about *a, struct error *err)
{
    const struct gen_limits limits = generator_request_limits(a->settings);
    struct gen_request r = gen_request_defaults();

    r.mode = j->mode == GEN_JOB_IMG2IMG ? GEN_IMG2IMG : GEN_TXT2IMG;
    r.prompt = j->prompt;
    r.negative_prompt = j->negative_prompt;
    r.prompt_syntax = syntax_of(j, a->settings);
    r.batch_size = j->batch_size;
    r.n_iter = j->n_iter;
    r.steps = j->steps;
    r.cfg_scale = j->cfg_scale < 0 ? generator_model_cfg_scale(a->model) : j->cfg_scale;
    r.sampler = j->sampler;
    r.schedule = j->schedule;
    r.sampling = sampling_of(j);
    r.seed = (uint64_t)j->seed;
    r.subseed = j->subseed < 0 ? 0 : (uint64_t)j->subseed;
    r.subseed_strength = j->subseed_strength;
    r.seed_resize_width = j->seed_resize_width;
    r.seed_resize_height = j->seed_resize_height;
    r.rng = j->rng;
    r.clip_skip = j->clip_skip;
    r.denoising_strength = j->denoising_strength;
    r.refiner_switch_at = j->refiner_switch_at;
    r.img2img_rule = (enum gen_img2img_rule)j->img2img_rule;
    r.resize_mode = (enum resize_mode)j->resize_mode;
    /* Of these the pipeline takes the picture as the file has it; others are brought to the planned
     * size at once, so that a large one does not stay in memory. */
    r.input.has_mask = a->has_mask;
    if (r.mode == GEN_IMG2IMG && (a->has_mask || r.resize_mode == RESIZE_MODE_LATENT)) {
        r.input.width = a->input_width;
        r.input.height = a->input_height;
    }
    r.inpaint = inpaint_of(&j->mask);
    r.hires = hires_of(j, a->upscaler_path);
    *out = r;
    return find_size(out, j, a, err) && gen_request_check(out, &limits, err);
}
