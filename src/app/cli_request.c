#include "app/cli_request.h"

#include "image/image_text.h"

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

bool cli_request_make(struct cli_request *out, const struct cli_options *o, struct error *err)
{
    struct gen_job *j = &out->job;

    *j = gen_job_defaults();
    j->mode = o->image ? GEN_JOB_IMG2IMG : GEN_JOB_TXT2IMG;
    j->exact_size = true;
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
    return gen_job_pick_seeds(j, err) && check_text("--prompt", j->prompt, err) &&
           check_text("--negative-prompt", j->negative_prompt, err) && take_loras(out, o, err);
}
