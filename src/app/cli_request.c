#include "app/cli_request.h"

#include "image/image_text.h"
#include "image/resize_mode.h"

#include <string.h>

static bool check_text(const char *flag, const char *text, struct error *err)
{
    return image_text_is_utf8(text) || error_set(err, ERROR_INVALID, "%s is not UTF-8", flag);
}

static bool take_loras(struct cli_request *r, const struct cli_options *o, struct error *err)
{
    for (int i = 0; i < o->n_loras; i++) {
        if (!cli_lora_parse(&r->loras[i], o->loras[i], err))
            return false;
        r->job.loras[r->job.n_loras++] =
            (struct gen_job_lora){.name = r->loras[i].name, .scale = r->loras[i].scale};
    }
    return true;
}

static bool take_hires(struct gen_job *j, const struct cli_options *o, struct error *err)
{
    enum schedule_kind suffix = SCHEDULE_AUTOMATIC;
    struct gen_job_hires *h = &j->hires;

    h->enabled = o->hires;
    h->scale = o->hires_scale;
    h->width = (int)o->hires_width;
    h->height = (int)o->hires_height;
    h->upscaler = o->hires_upscaler;
    h->steps = (int)o->hires_steps;
    h->denoising_strength = o->hires_denoising_strength;
    h->prompt = o->hires_prompt;
    h->negative_prompt = o->hires_negative_prompt;
    if (o->hires_sampler && !(h->sampler = sampler_find(o->hires_sampler, &suffix)))
        return sampler_unknown(err, o->hires_sampler) || error_prefix(err, "--hires-sampler");
    if (suffix != SCHEDULE_AUTOMATIC)
        h->schedule = &schedule_rows[suffix];
    if (o->hires_scheduler && !(h->schedule = schedule_find(o->hires_scheduler)))
        return schedule_unknown(err, o->hires_scheduler) || error_prefix(err, "--hires-scheduler");
    return check_text("--hires-prompt", h->prompt, err) &&
           check_text("--hires-negative-prompt", h->negative_prompt, err);
}

static bool take_rule(struct gen_job *j, const char *text, struct error *err)
{
    for (int i = 0; i < GEN_IMG2IMG_RULES; i++)
        if (strcmp(text, gen_request_img2img_rule_name((enum gen_img2img_rule)i)) == 0) {
            j->img2img_rule = i;
            return true;
        }
    return error_set(err, ERROR_INVALID,
                     "--img2img-rule is diffusers, webui or webui all, not '%.40s'", text);
}

static bool take_img2img(struct gen_job *j, const struct cli_options *o, struct error *err)
{
    enum resize_mode mode = RESIZE_MODE_STRETCH;

    if (o->resize_mode && !resize_mode_parse(&mode, o->resize_mode, err))
        return error_prefix(err, "--resize-mode");
    j->resize_mode = (int)mode;
    j->exact_size = o->resize_by <= 0;
    j->resize_by = (struct gen_job_size){o->resize_by, o->resize_by};
    j->mask = (struct gen_job_mask){.blur_x = (int)o->mask_blur,
                                    .blur_y = (int)o->mask_blur,
                                    .fill = (int)o->inpainting_fill,
                                    .full_res = o->inpaint_full_res,
                                    .padding = (int)o->inpaint_padding,
                                    .invert = o->mask_invert,
                                    .round = !o->mask_soft};
    return !o->img2img_rule || take_rule(j, o->img2img_rule, err);
}

static void take_sampling(struct gen_job *j, const struct cli_options *o)
{
    j->eta = o->eta;
    j->s_churn = o->s_churn;
    j->s_tmin = o->s_tmin;
    j->s_tmax = o->s_tmax;
    j->s_noise = o->s_noise;
    j->subseed = o->subseed;
    j->subseed_strength = o->subseed_strength;
    j->seed_resize_width = (int)o->seed_resize_width;
    j->seed_resize_height = (int)o->seed_resize_height;
    j->n_iter = (int)o->n_iter;
}

bool cli_request_make(struct cli_request *out, const struct cli_options *o, struct error *err)
{
    struct gen_job *j = &out->job;

    *j = gen_job_defaults();
    j->mode = o->image ? GEN_JOB_IMG2IMG : GEN_JOB_TXT2IMG;
    j->prompt = o->prompt;
    j->negative_prompt = o->negative_prompt;
    j->width = (int)o->width;
    j->height = (int)o->height;
    j->batch_size = (int)o->batch_size;
    j->steps = (int)o->steps;
    j->cfg_scale = o->cfg_scale;
    j->sampler = o->sampler;
    j->schedule = o->scheduler ? o->scheduler : &schedule_rows[o->sampler_suffix];
    j->seed = o->seed;
    j->rng = o->rng;
    j->clip_skip = (int)o->clip_skip;
    j->denoising_strength = o->denoising_strength;
    j->refiner = o->refiner ? o->refiner : "";
    j->refiner_switch_at = o->refiner_switch_at;
    j->preview = o->preview || o->preview_every > 0;
    take_sampling(j, o);
    return take_hires(j, o, err) && take_img2img(j, o, err) && gen_job_pick_seeds(j, err) &&
           check_text("--prompt", j->prompt, err) &&
           check_text("--negative-prompt", j->negative_prompt, err) && take_loras(out, o, err);
}
