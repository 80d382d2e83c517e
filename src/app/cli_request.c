#include "app/cli_request.h"

#include "image/image_text.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static bool pick_seed(uint64_t *out, int64_t asked, struct error *err)
{
    uint32_t any = 0;

    if (asked < 0 && getentropy(&any, sizeof any) != 0)
        return error_set_errno(err, errno, "no random seed");
    *out = asked < 0 ? any : (uint64_t)asked;
    return true;
}

/* To the nearest multiple of 8, not below 64. */
static int rounded_side(int px)
{
    int side = (px + 4) / 8 * 8;
    return side < 64 ? 64 : side;
}

static int side_of(int64_t asked, int input_px, int native)
{
    if (asked > 0)
        return (int)asked;
    return input_px > 0 ? rounded_side(input_px) : native;
}

struct gen_limits cli_request_limits(const struct settings *s)
{
    struct gen_limits limits = gen_request_default_limits();
    limits.max_side = (int)s->max_side;
    limits.max_pixels = s->max_pixels;
    limits.max_steps = (int)s->max_steps;
    limits.max_batch = (int)s->max_batch;
    return limits;
}

static bool check_text(const char *flag, const char *text, struct error *err)
{
    return image_text_is_utf8(text) || error_set(err, ERROR_INVALID, "%s is not UTF-8", flag);
}

bool cli_request_make(struct gen_request *out, const struct cli_options *o,
                      const struct cli_model *m, const struct model_info *info, int input_width,
                      int input_height, struct error *err)
{
    const struct gen_limits limits = cli_request_limits(&o->settings);
    int native = cli_model_native_side(info);
    struct gen_request *r = out;

    *r = gen_request_defaults();
    r->mode = input_width > 0 ? GEN_IMG2IMG : GEN_TXT2IMG;
    r->prompt = o->prompt;
    r->negative_prompt = o->negative_prompt;
    r->prompt_syntax =
        strcmp(o->settings.prompt_syntax, "off") == 0 ? GEN_SYNTAX_OFF : GEN_SYNTAX_WEBUI;
    r->width = side_of(o->width, input_width, native);
    r->height = side_of(o->height, input_height, native);
    r->batch_size = (int)o->batch_size;
    r->steps = (int)o->steps;
    r->cfg_scale = o->cfg_scale < 0 ? cli_model_cfg_scale(m) : o->cfg_scale;
    r->sampler = o->sampler;
    r->schedule = o->scheduler ? o->scheduler : &schedule_rows[o->sampler_suffix];
    r->rng = o->rng;
    r->clip_skip = (int)o->clip_skip;
    r->denoising_strength = o->denoising_strength;
    r->refiner_switch_at = o->refiner_switch_at;
    return pick_seed(&r->seed, o->seed, err) && check_text("--prompt", r->prompt, err) &&
           check_text("--negative-prompt", r->negative_prompt, err) &&
           gen_request_check(r, &limits, err);
}
