#include "request/gen_request.h"

#include "base/assert.h"
#include "image/builtin_upscaler.h"
#include "request/resize_target.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SMALLEST_SIDE = 64, SIDE_MULTIPLE = 8 };

static const double MAX_CHURN = 100, MAX_NOISE = 10;

struct gen_request gen_request_defaults(void)
{
    return (struct gen_request){
        .mode = GEN_TXT2IMG,
        .prompt = "",
        .negative_prompt = "",
        .width = 512,
        .height = 512,
        .batch_size = 1,
        .n_iter = 1,
        .steps = 20,
        .cfg_scale = 7,
        .sampler = sampler_find("Euler a", NULL),
        .schedule = schedule_find("Automatic"),
        .sampling = sampler_options_default,
        .seed = 1,
        .rng = RNG_CPU,
        .clip_skip = 1,
        .denoising_strength = 0.75,
        .refiner_switch_at = 0.8,
        .inpaint =
            {.blur_x = 4, .blur_y = 4, .fill = MASK_BLEND_ORIGINAL, .padding = 32, .round = true},
        .hires = {.scale = 2, .upscaler = "Latent", .steps = 20, .denoising_strength = 0.4}};
}

struct gen_limits gen_request_default_limits(void)
{
    return (struct gen_limits){.max_side = 4096,
                               .max_pixels = 4096 * 4096,
                               .max_steps = 150,
                               .max_batch = 16,
                               .max_prompt_bytes = 32 << 10,
                               .max_clip_skip = 12,
                               .max_cfg_scale = 100};
}

static bool check_int(const char *name, int64_t value, int64_t min, int64_t max, struct error *err)
{
    if (value >= min && value <= max)
        return true;
    return error_set(err, ERROR_INVALID, "%s is from %" PRId64 " to %" PRId64 ", not %" PRId64,
                     name, min, max, value);
}

static bool check_number(const char *name, double value, double min, double max, struct error *err)
{
    if (value >= min && value <= max) /* false for NaN */
        return true;
    return error_set(err, ERROR_INVALID, "%s is from %g to %g, not %g", name, min, max, value);
}

static bool check_side(const char *name, int value, int max, struct error *err)
{
    if (value >= SMALLEST_SIDE && value <= max && value % SIDE_MULTIPLE == 0)
        return true;
    return error_set(err, ERROR_INVALID, "%s is a multiple of %d from %d to %d, not %d", name,
                     SIDE_MULTIPLE, SMALLEST_SIDE, max, value);
}

static bool check_text(const char *name, const char *text, size_t max, struct error *err)
{
    size_t len = strlen(text);
    if (len <= max)
        return true;
    return error_set(err, ERROR_INVALID, "%s has %zu bytes, at most %zu are allowed", name, len,
                     max);
}

static bool check_loras(const struct gen_request *r, struct error *err)
{
    for (int i = 0; i < r->n_loras; i++)
        if (!check_number("a LoRA's scale", r->loras[i].scale, -GEN_MAX_LORA_SCALE,
                          GEN_MAX_LORA_SCALE, err))
            return false;
    return true;
}

static bool check_sampling(const struct gen_request *r, struct error *err)
{
    const struct sampler_options *o = &r->sampling;

    return check_number("eta", o->eta, -1, 1, err) &&
           check_number("s_churn", o->s_churn, 0, MAX_CHURN, err) &&
           check_number("s_tmin", o->s_tmin, 0, INFINITY, err) &&
           check_number("s_tmax", o->s_tmax, 0, INFINITY, err) &&
           check_number("s_noise", o->s_noise, 0, MAX_NOISE, err);
}

static bool check_seed(const char *name, uint64_t seed, struct error *err)
{
    return seed <= UINT32_MAX ||
           error_set(err, ERROR_INVALID, "%s is from 0 to %" PRIu32 ", not %" PRIu64, name,
                     UINT32_MAX, seed);
}

static bool check_seeds(const struct gen_request *r, const struct gen_limits *limits,
                        struct error *err)
{
    return check_seed("seed", r->seed, err) && check_seed("subseed", r->subseed, err) &&
           check_number("subseed_strength", r->subseed_strength, 0, 1, err) &&
           check_int("seed_resize_from_w", r->seed_resize_width, 0, limits->max_side, err) &&
           check_int("seed_resize_from_h", r->seed_resize_height, 0, limits->max_side, err);
}

static bool check_pixels(int width, int height, const struct gen_limits *limits, struct error *err)
{
    return (int64_t)width * height <= limits->max_pixels ||
           error_set(err, ERROR_INVALID, "%dx%d is more than %" PRId64 " pixels", width, height,
                     limits->max_pixels);
}

static bool check_inpaint(const struct gen_request *r, struct error *err)
{
    const struct gen_inpaint *p = &r->inpaint;

    return check_int("resize_mode", r->resize_mode, 0, RESIZE_MODE_COUNT - 1, err) &&
           check_number("mask_blur_x", p->blur_x, 0, MASK_MAX_BLUR, err) &&
           check_number("mask_blur_y", p->blur_y, 0, MASK_MAX_BLUR, err) &&
           check_int("inpainting_fill", p->fill, 0, MASK_BLEND_COUNT - 1, err) &&
           check_int("inpaint_full_res_padding", p->padding, 0, GEN_MAX_INPAINT_PADDING, err);
}

static bool check_hires_side(const char *name, int side, int max, struct error *err)
{
    return side == 0 || check_side(name, side, max, err);
}

static bool check_hires_upscaler(const struct gen_hires *h, struct error *err)
{
    char names[300] = "";
    const struct builtin_upscaler *row;

    ASSERT(h->upscaler);
    if (h->upscaler_path || builtin_upscaler_find(h->upscaler))
        return true;
    for (size_t i = 0, len = 0; (row = builtin_upscaler_at(i)) && len < sizeof names; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i ? ", " : "", row->name);
    return error_set(err, ERROR_INVALID,
                     "hires: there is no upscaler '%.100s'; there are %s, and the files of the "
                     "upscalers' folder",
                     h->upscaler, names);
}

static bool check_hires(const struct gen_request *r, const struct gen_limits *limits,
                        struct error *err)
{
    const struct gen_hires *h = &r->hires;
    int width, height;

    if (!h->enabled)
        return true;
    if (!check_number("hires scale", h->scale, 0, GEN_MAX_HIRES_SCALE, err) ||
        !check_hires_side("hires width", h->width, limits->max_side, err) ||
        !check_hires_side("hires height", h->height, limits->max_side, err) ||
        !check_int("hires steps", h->steps, 0, limits->max_steps, err) ||
        !check_number("hires denoising_strength", h->denoising_strength, 0, 1, err) ||
        !check_hires_upscaler(h, err) ||
        (h->prompt && !check_text("hires prompt", h->prompt, limits->max_prompt_bytes, err)) ||
        (h->negative_prompt &&
         !check_text("hires negative_prompt", h->negative_prompt, limits->max_prompt_bytes, err)))
        return false;
    gen_request_hires_cover(r, &width, &height);
    return (check_side("hires width", width, limits->max_side, err) &&
            check_side("hires height", height, limits->max_side, err) &&
            check_pixels(width, height, limits, err));
}

bool gen_request_check(const struct gen_request *r, const struct gen_limits *limits,
                       struct error *err)
{
    ASSERT(r->prompt && r->negative_prompt && r->sampler && r->schedule);

    if (!check_text("prompt", r->prompt, limits->max_prompt_bytes, err) ||
        !check_text("negative_prompt", r->negative_prompt, limits->max_prompt_bytes, err) ||
        !check_side("width", r->width, limits->max_side, err) ||
        !check_side("height", r->height, limits->max_side, err) ||
        !check_int("batch_size", r->batch_size, 1, limits->max_batch, err) ||
        !check_int("n_iter", r->n_iter, 1, limits->max_batch, err) ||
        !check_int("batch_size times n_iter", (int64_t)r->batch_size * r->n_iter, 1,
                   limits->max_batch, err) ||
        !check_int("steps", r->steps, 1, limits->max_steps, err) ||
        !check_number("cfg_scale", r->cfg_scale, 0, limits->max_cfg_scale, err) ||
        !check_int("loras", r->n_loras, 0, GEN_MAX_LORAS, err) || !check_loras(r, err) ||
        !check_int("clip_skip", r->clip_skip, 1, limits->max_clip_skip, err) ||
        !check_number("denoising_strength", r->denoising_strength, 0, 1, err) ||
        !check_number("refiner_switch_at", r->refiner_switch_at, 0, 1, err))
        return false;
    return check_pixels(r->width, r->height, limits, err) && check_sampling(r, err) &&
           check_seeds(r, limits, err) && check_inpaint(r, err) && check_hires(r, limits, err);
}

/* Of w to go with h so that they have the shape of in_w x in_h. */
static int side_for(int h, int in_w, int in_h)
{
    return (int)((int64_t)h * in_w / in_h);
}

/* As A1111's calculate_target_resolution, to multiples of 8. */
void gen_request_hires_cover(const struct gen_request *r, int *width, int *height)
{
    const struct gen_hires *h = &r->hires;
    int w = h->width, high = h->height;

    if (!w && !high) {
        w = (int)(r->width * h->scale);
        high = (int)(r->height * h->scale);
    } else if (!high || (w && (int64_t)r->width * high < (int64_t)w * r->height)) {
        high = side_for(w, r->height, r->width);
    } else {
        w = side_for(high, r->width, r->height);
    }
    *width = resize_target_round(w);
    *height = resize_target_round(high);
    if (h->width && h->height) {
        *width = *width < h->width ? h->width : *width;
        *height = *height < h->height ? h->height : *height;
    }
}

bool gen_request_has_hires(const struct gen_request *r)
{
    const struct gen_hires *h = &r->hires;
    return h->enabled && !r->input.has_mask && (h->scale > 1 || h->width || h->height);
}

void gen_request_hires_size(const struct gen_request *r, int *width, int *height)
{
    *width = r->width;
    *height = r->height;
    if (!gen_request_has_hires(r))
        return;
    gen_request_hires_cover(r, width, height);
    if (r->hires.width && r->hires.height) {
        *width = r->hires.width;
        *height = r->hires.height;
    }
}

bool gen_request_is_full_res(const struct gen_request *r)
{
    return r->mode == GEN_IMG2IMG && r->input.has_mask && r->inpaint.full_res;
}

void gen_request_result_size(const struct gen_request *r, int *width, int *height)
{
    gen_request_hires_size(r, width, height);
    if (gen_request_is_full_res(r) && r->input.width > 0) {
        *width = r->input.width;
        *height = r->input.height;
    }
}

void gen_request_encode_size(const struct gen_request *r, int *width, int *height)
{
    const struct gen_input *in = &r->input;
    const int w = resize_target_round(in->width), h = resize_target_round(in->height);

    *width = r->width;
    *height = r->height;
    if (r->resize_mode == RESIZE_MODE_LATENT && !in->has_mask && w >= SMALLEST_SIDE &&
        h >= SMALLEST_SIDE && (int64_t)w * h < (int64_t)r->width * r->height) {
        *width = w;
        *height = h;
    }
}

bool gen_request_prepares(const struct gen_request *r)
{
    const struct gen_input *in = &r->input;
    int width, height;

    gen_request_encode_size(r, &width, &height);
    return r->mode == GEN_IMG2IMG &&
           (in->has_mask || (in->width > 0 && (in->width != width || in->height != height)));
}

/* A1111's setup_img2img_steps where every step is to run: the schedule is longer.  What would be
 * longer than a schedule may be loses steps, and keeps its strength. */
static struct gen_steps fixed_steps(int steps, double strength)
{
    const double most = 0.999, almost = 1e-9;

    if (strength <= 0)
        return (struct gen_steps){steps, steps};
    const double all = steps / fmin(strength, most);
    if (all < SCHEDULE_MAX_STEPS + 1)
        return (struct gen_steps){(int)all, (int)all - steps};
    const int run = (int)(strength * SCHEDULE_MAX_STEPS + almost);
    return (struct gen_steps){SCHEDULE_MAX_STEPS, SCHEDULE_MAX_STEPS - (run > 0 ? run : 1)};
}

struct gen_steps gen_request_steps(const struct gen_request *r)
{
    const double most = 0.999;

    if (r->mode != GEN_IMG2IMG)
        return (struct gen_steps){r->steps, 0};
    if (r->img2img_rule == GEN_IMG2IMG_WEBUI)
        return (struct gen_steps){
            r->steps, r->steps - (int)(fmin(r->denoising_strength, most) * r->steps) - 1};
    if (r->img2img_rule == GEN_IMG2IMG_WEBUI_ALL)
        return fixed_steps(r->steps, r->denoising_strength);
    return (struct gen_steps){r->steps, schedule_img2img_start(r->steps, r->denoising_strength)};
}

/* Whether text, where it says anything, says something else. */
static bool differs(const char *text, const char *from)
{
    return text && *text && strcmp(text, from) != 0;
}

bool gen_request_hires_has_prompts(const struct gen_request *r)
{
    return gen_request_has_hires(r) && (differs(r->hires.prompt, r->prompt) ||
                                        differs(r->hires.negative_prompt, r->negative_prompt));
}

struct gen_request gen_request_second_pass(const struct gen_request *r)
{
    const struct gen_hires *h = &r->hires;
    const struct gen_steps first = gen_request_steps(r);
    struct gen_request second = *r;

    second.first_steps = first.all - first.skipped;
    second.mode = GEN_IMG2IMG;
    second.img2img_rule = GEN_IMG2IMG_WEBUI_ALL;
    gen_request_hires_size(r, &second.width, &second.height);
    second.steps = h->steps ? h->steps : r->steps;
    second.denoising_strength = h->denoising_strength;
    second.sampler = h->sampler ? h->sampler : r->sampler;
    second.schedule = h->schedule ? h->schedule : r->schedule;
    if (gen_request_hires_has_prompts(r))
        second.text[0] = r->hires_text;
    second.prompt = h->prompt && *h->prompt ? h->prompt : r->prompt;
    second.negative_prompt =
        h->negative_prompt && *h->negative_prompt ? h->negative_prompt : r->negative_prompt;
    second.input = (struct gen_input){0};
    second.hires.enabled = false;
    return second;
}

int gen_request_refiner_step(const struct gen_request *r, int n_steps)
{
    const double almost = 1e-9; /* 0.7 of 10 steps are 7, not 6.999... */
    return (int)(r->refiner_switch_at * n_steps + almost);
}

uint64_t gen_request_seed(const struct gen_request *r, int i)
{
    return r->seed + (r->subseed_strength > 0 ? 0 : (uint64_t)i);
}

uint64_t gen_request_subseed(const struct gen_request *r, int i)
{
    return r->subseed + (uint64_t)i;
}

struct gen_request gen_request_round(const struct gen_request *r, int i)
{
    struct gen_request round = *r;
    const int first = i * r->batch_size;

    round.seed = gen_request_seed(r, first);
    round.subseed = gen_request_subseed(r, first);
    return round;
}

const char *gen_request_img2img_rule_name(enum gen_img2img_rule rule)
{
    static const char *const name[GEN_IMG2IMG_RULES] = {"diffusers", "webui", "webui all"};
    return name[rule];
}

const char *gen_request_syntax_name(enum gen_syntax syntax)
{
    static const char *const name[GEN_SYNTAX_COUNT] = {"webui", "off"};
    return name[syntax];
}

const char *gen_request_mode_name(enum gen_mode mode)
{
    return mode == GEN_IMG2IMG ? "img2img" : "txt2img";
}
