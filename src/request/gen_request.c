#include "request/gen_request.h"

#include "base/assert.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SMALLEST_SIDE = 64, SIDE_MULTIPLE = 8 };

struct gen_request gen_request_defaults(void)
{
    return (struct gen_request){.mode = GEN_TXT2IMG,
                                .prompt = "",
                                .negative_prompt = "",
                                .width = 512,
                                .height = 512,
                                .batch_size = 1,
                                .steps = 20,
                                .cfg_scale = 7,
                                .sampler = sampler_find("Euler a", NULL),
                                .schedule = schedule_find("Automatic"),
                                .seed = 1,
                                .rng = RNG_CPU,
                                .clip_skip = 1,
                                .denoising_strength = 0.75,
                                .refiner_switch_at = 0.8};
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

bool gen_request_check(const struct gen_request *r, const struct gen_limits *limits,
                       struct error *err)
{
    ASSERT(r->prompt && r->negative_prompt && r->sampler && r->schedule);

    if (!check_text("prompt", r->prompt, limits->max_prompt_bytes, err) ||
        !check_text("negative_prompt", r->negative_prompt, limits->max_prompt_bytes, err) ||
        !check_side("width", r->width, limits->max_side, err) ||
        !check_side("height", r->height, limits->max_side, err) ||
        !check_int("batch_size", r->batch_size, 1, limits->max_batch, err) ||
        !check_int("steps", r->steps, 1, limits->max_steps, err) ||
        !check_number("cfg_scale", r->cfg_scale, 0, limits->max_cfg_scale, err) ||
        !check_int("loras", r->n_loras, 0, GEN_MAX_LORAS, err) || !check_loras(r, err) ||
        !check_int("clip_skip", r->clip_skip, 1, limits->max_clip_skip, err) ||
        !check_number("denoising_strength", r->denoising_strength, 0, 1, err) ||
        !check_number("refiner_switch_at", r->refiner_switch_at, 0, 1, err))
        return false;
    if ((int64_t)r->width * r->height > limits->max_pixels)
        return error_set(err, ERROR_INVALID, "%dx%d is more than %" PRId64 " pixels", r->width,
                         r->height, limits->max_pixels);
    if (r->seed > UINT32_MAX)
        return error_set(err, ERROR_INVALID, "seed is from 0 to %" PRIu32 ", not %" PRIu64,
                         UINT32_MAX, r->seed);
    return true;
}

int gen_request_refiner_step(const struct gen_request *r)
{
    const double almost = 1e-9; /* 0.7 of 10 steps are 7, not 6.999... */
    return (int)(r->refiner_switch_at * r->steps + almost);
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
