#include "request/gen_job.h"

#include "base/assert.h"
#include "request/gen_job_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *const gen_job_mode_names[] = {"txt2img", "img2img", "upscale", NULL};
const char *const gen_job_file_types[] = {"png", "jpg", "webp", "avif", NULL};

struct gen_job gen_job_defaults(void)
{
    return (struct gen_job){
        .mode = GEN_JOB_TXT2IMG,
        .prompt = "",
        .negative_prompt = "",
        .prompt_syntax = -1,
        .batch_size = 1,
        .n_iter = 1,
        .steps = 20,
        .cfg_scale = -1,
        .sampler = sampler_find("Euler a", NULL),
        .schedule = &schedule_rows[SCHEDULE_AUTOMATIC],
        .seed = -1,
        .subseed = -1,
        .rng = RNG_CPU,
        .clip_skip = 1,
        .denoising_strength = 0.75,
        .model = "",
        .vae = "",
        .refiner = "",
        .refiner_switch_at = 0.8,
        .hires = {.scale = 2,
                  .upscaler = "Latent",
                  .denoising_strength = 0.4,
                  .prompt = "",
                  .negative_prompt = ""},
        .mask = {.blur_x = 4, .blur_y = 4, .fill = 1, .padding = 32, .round = true},
        .eta = -1,
        .s_tmax = -1,
        .s_noise = 1,
        .file_type = GEN_JOB_PNG,
        .size_policy = -1,
        .preview_every_seconds = 1,
        .user = "",
        .upscale = {.upscaler_1 = "", .upscaler_2 = "", .resize = 2, .crop = true},
    };
}

void gen_job_clear(struct gen_job *j)
{
    json_decref(j->document);
    *j = (struct gen_job){0};
}

double gen_job_field_max(const struct gen_job_field *f, const struct gen_limits *limits)
{
    switch (f->cap) {
    case GEN_JOB_CAP_SIDE:
        return limits->max_side;
    case GEN_JOB_CAP_STEPS:
        return limits->max_steps;
    case GEN_JOB_CAP_BATCH:
        return limits->max_batch;
    case GEN_JOB_CAP_PROMPT:
        return (double)limits->max_prompt_bytes;
    case GEN_JOB_FIXED:
        break;
    }
    return f->max;
}

/* Bytes of a kind's value; all members of the union begin where it begins. */
static size_t value_bytes(enum gen_job_kind kind)
{
    static const size_t bytes[] = {
        [GEN_JOB_TEXT] = sizeof(const char *),
        [GEN_JOB_INT] = sizeof(int),
        [GEN_JOB_NUMBER] = sizeof(double),
        [GEN_JOB_BOOL] = sizeof(bool),
        [GEN_JOB_CHOICE] = sizeof(int),
        [GEN_JOB_SEED] = sizeof(int64_t),
        [GEN_JOB_SAMPLER] = sizeof(const struct sampler *),
        [GEN_JOB_SCHEDULER] = sizeof(const struct schedule *),
    };
    ASSERT(kind != GEN_JOB_LORAS);
    return bytes[kind];
}

union gen_job_value gen_job_get(const struct gen_job *j, const struct gen_job_field *f)
{
    union gen_job_value v;
    memset(&v, 0, sizeof v);
    memcpy(&v, (const unsigned char *)j + f->offset, value_bytes(f->kind));
    return v;
}

void gen_job_set(struct gen_job *j, const struct gen_job_field *f, union gen_job_value v)
{
    memcpy((unsigned char *)j + f->offset, &v, value_bytes(f->kind));
}

void gen_job_label(char out[GEN_JOB_LABEL_BYTES], const struct gen_job_field *f)
{
    snprintf(out, GEN_JOB_LABEL_BYTES, "%s%s%s", f->object ? f->object : "", f->object ? "." : "",
             f->key);
}

json_t *gen_job_field_default(const struct gen_job_field *f)
{
    const struct gen_job j = gen_job_defaults();

    if (f->kind == GEN_JOB_LORAS)
        return json_array();
    return gen_job_write_value(f, gen_job_get(&j, f));
}

static bool check_upscale(const struct gen_job_upscale *u, struct error *err)
{
    if (!u->upscaler_1[0])
        return error_set(err, ERROR_INVALID,
                         "upscaler_1 is missing: Lanczos, Nearest, or the name of an upscaler");
    if ((u->resize_w > 0) != (u->resize_h > 0))
        return error_set(err, ERROR_INVALID,
                         "upscaling_resize_w and upscaling_resize_h are said together or not at "
                         "all, not %s alone",
                         u->resize_w > 0 ? "upscaling_resize_w" : "upscaling_resize_h");
    return true;
}

bool gen_job_check(const struct gen_job *j, const struct gen_limits *limits, struct error *err)
{
    if (j->mode == GEN_JOB_UPSCALE)
        return check_upscale(&j->upscale, err);
    if ((int64_t)j->width * j->height > limits->max_pixels)
        return error_set(err, ERROR_INVALID,
                         "width x height is %dx%d; at most %" PRId64 " pixels are allowed",
                         j->width, j->height, limits->max_pixels);
    if ((int64_t)j->batch_size * j->n_iter > GEN_JOB_MAX_PICTURES)
        return error_set(err, ERROR_INVALID,
                         "batch_size x n_iter is %d x %d; at most %d pictures are allowed",
                         j->batch_size, j->n_iter, GEN_JOB_MAX_PICTURES);
    return true;
}

static bool pick(int64_t *seed, struct error *err)
{
    uint32_t any = 0;

    if (*seed >= 0)
        return true;
    if (getentropy(&any, sizeof any) != 0)
        return error_set_errno(err, errno, "no random seed");
    *seed = any;
    return true;
}

bool gen_job_pick_seeds(struct gen_job *j, struct error *err)
{
    /* A variation's seed says nothing where there is no variation. */
    return pick(&j->seed, err) && (j->subseed_strength <= 0 || pick(&j->subseed, err));
}
