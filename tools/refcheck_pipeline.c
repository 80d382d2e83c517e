/* Whole runs on the real network, latent by latent: diffusers' Euler and DDIM, img2img, and
 * k-diffusion's samplers with given noise. */
#include "refcheck_scene.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Latents after every step.  A sampler of unit variance states them so; the last one is already. */
static void check_trail(struct refcheck_scene *s, const char *name, struct refcheck_guide *g,
                        int n_steps, bool unit, const struct refcheck_tensor *want)
{
    char row[128];

    for (int i = 1; i <= n_steps; i++) {
        float *have = g->trail + (size_t)i * s->each;
        if (unit && i < n_steps)
            for (size_t k = 0; k < s->each; k++)
                have[k] = (float)(have[k] / sqrt(1 + g->sigma[i] * g->sigma[i]));
        snprintf(row, sizeof row, "%.80s step %d", name, i);
        refcheck_row(s->r, row, refcheck_error(have, want->x + (size_t)(i - 1) * s->each, s->each),
                     REFCHECK_STAGE);
    }
}

/* txt2img.euler or txt2img.ddim */
static void check_txt2img(struct refcheck_scene *s, const struct safetensors *file,
                          const char *kind)
{
    const bool ddim = strcmp(kind, "ddim") == 0;
    const struct sampler *sampler = sampler_find(kind, NULL);
    const struct schedule_inputs inputs = {.train = &s->train};
    const int n_steps = s->request.steps;
    double sigmas[REFCHECK_MAX_STEPS + 2], timesteps[REFCHECK_MAX_STEPS + 1];
    char name[96], key[64];
    struct error err = {0};

    snprintf(name, sizeof name, "sd15 txt2img %s", kind);
    snprintf(key, sizeof key, "txt2img.%s.noise", kind);
    struct refcheck_tensor noise = refcheck_tensor_named(file, key);
    snprintf(key, sizeof key, "txt2img.%s.latents", kind);
    struct refcheck_tensor latents = refcheck_tensor_named(file, key);
    snprintf(key, sizeof key, "txt2img.%s.image", kind);
    struct refcheck_tensor image = refcheck_tensor_named(file, key);
    const size_t trail_room = (size_t)n_steps + 1;
    struct refcheck_guide g = {.scene = s,
                               .timesteps = ddim ? NULL : timesteps,
                               .trail = calloc(trail_room * s->each, sizeof(float)),
                               .trail_room = trail_room};

    bool ok = sampler && g.trail && noise.count == s->each && noise.x && latents.x &&
              latents.count == s->each * (size_t)n_steps;
    if (!ok)
        error_set(&err, ERROR_CORRUPT, "the file lacks noise or latents of this size");
    if (ok && ddim)
        ok = sampler_sigmas(sigmas, sampler, SCHEDULE_AUTOMATIC, n_steps, &inputs, &err);
    else if (ok) {
        ok = refcheck_scene_timesteps(s, timesteps, n_steps);
        if (ok)
            refcheck_scene_sigmas(s, sigmas, timesteps, n_steps);
    }
    for (size_t i = 0; ok && i < s->each; i++)
        noise.x[i] = (float)(noise.x[i] * sampler_noise_scale(sampler, sigmas[0]));
    if (ok && refcheck_scene_run(&g, sampler, noise.x, sigmas, n_steps, &err)) {
        check_trail(s, name, &g, n_steps, ddim, &latents);
        snprintf(key, sizeof key, "%.40s picture", name);
        refcheck_scene_decode(s, key, noise.x, &image);
    } else {
        refcheck_fail(s->r, name, err.text);
    }
    free(g.trail);
    free(noise.x);
    free(latents.x);
    free(image.x);
}

static void check_diffusers(struct refcheck *r)
{
    static const char *const kinds[] = {"euler", "ddim"};
    struct safetensors *file = refcheck_tensors(r, "sd15/pipeline.safetensors");
    struct refcheck_scene s;

    if (!file)
        return;
    if (refcheck_scene_open(&s, r, "sd15", "sd15 txt2img", file, "txt2img.euler.noise"))
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            check_txt2img(&s, file, kinds[i]);
    refcheck_scene_close(&s);
    safetensors_close(file);
}

/* NAME or NAME_SCHEDULE, from the file's noise and step noises. */
static void check_k_sampler(struct refcheck_scene *s, const struct safetensors *file,
                            const char *key)
{
    enum schedule_kind kind = SCHEDULE_AUTOMATIC;
    const struct sampler *sampler = sampler_find(key, &kind);
    const struct schedule_inputs inputs = {.train = &s->train};
    const int n_steps = s->request.steps;
    double sigmas[REFCHECK_MAX_STEPS + 2];
    char name[96];
    struct error err = {0};

    snprintf(name, sizeof name, "sd15 k-diffusion %s", key);
    if (!sampler) {
        refcheck_skip(s->r, name, "no such sampler");
        return;
    }
    struct refcheck_tensor x = refcheck_tensor_named(file, "noise");
    struct refcheck_tensor noises = refcheck_tensor_named(file, "step_noise");
    struct refcheck_tensor want = refcheck_tensor_named(file, key);
    struct refcheck_guide g = {.scene = s, .noises = noises.x, .n_noises = noises.count};

    kind = kind == SCHEDULE_AUTOMATIC ? SCHEDULE_UNIFORM : kind;
    bool ok = (x.x && x.count == s->each && want.x && want.count == s->each) ||
              error_set(&err, ERROR_CORRUPT, "the file lacks noise or latents of this size");
    ok = ok && sampler_sigmas(sigmas, sampler, kind, n_steps, &inputs, &err);
    for (size_t i = 0; ok && i < s->each; i++)
        x.x[i] = (float)(x.x[i] * sampler_noise_scale(sampler, sigmas[0]));
    if (ok && refcheck_scene_run(&g, sampler, x.x, sigmas, n_steps, &err))
        refcheck_row(s->r, name, refcheck_error(x.x, want.x, s->each), REFCHECK_STAGE);
    else
        refcheck_fail(s->r, name, err.text);
    free(x.x);
    free(noises.x);
    free(want.x);
}

/* sigmas_default or sigmas_SCHEDULE */
static void check_k_sigmas(struct refcheck_scene *s, const struct safetensors *file,
                           const char *key)
{
    const char *schedule_name = key + strlen("sigmas_");
    const bool is_default = strcmp(schedule_name, "default") == 0;
    const struct schedule *schedule = schedule_find(is_default ? "Uniform" : schedule_name);
    const struct schedule_inputs inputs = {.train = &s->train};
    struct refcheck_tensor want = refcheck_tensor_named(file, key);
    const size_t n = (size_t)s->request.steps + 1;
    double sigmas[REFCHECK_MAX_STEPS + 2];
    float have[REFCHECK_MAX_STEPS + 2];
    char name[96];
    struct error err = {0};

    snprintf(name, sizeof name, "sd15 k-diffusion %s", key);
    if (!schedule) {
        refcheck_skip(s->r, name, "no such schedule");
    } else if (!want.x || want.count != n ||
               !schedule_build(sigmas, schedule->kind, s->request.steps, &inputs, &err)) {
        refcheck_fail(s->r, name, "another number of steps than the metadata's");
    } else {
        for (size_t i = 0; i < n; i++)
            have[i] = (float)sigmas[i];
        refcheck_row(s->r, name, refcheck_error(have, want.x, n), REFCHECK_SINGLE);
    }
    free(want.x);
}

static void check_k_diffusion(struct refcheck *r)
{
    struct safetensors *file = refcheck_tensors(r, "sd15/kdiffusion.safetensors");
    struct refcheck_scene s;

    if (!file)
        return;
    const bool ok = refcheck_scene_open(&s, r, "sd15", "sd15 k-diffusion", file, "noise");
    for (size_t i = 0; ok && i < safetensors_count(file); i++) {
        const char *key = safetensors_at(file, i)->name;
        if (strncmp(key, "sigmas_", 7) == 0)
            check_k_sigmas(&s, file, key);
        else if (strcmp(key, "noise") != 0 && strcmp(key, "step_noise") != 0)
            check_k_sampler(&s, file, key);
    }
    refcheck_scene_close(&s);
    safetensors_close(file);
}

/* The noises of img2img are the first two draws of torch's generator with this seed. */
enum { IMG2IMG_SEED = 7 };

static void check_img2img_draws(struct refcheck *r, const struct refcheck_tensor *first,
                                const struct refcheck_tensor *second)
{
    struct rng g;
    float *have = calloc(first->count + second->count, sizeof *have);

    if (!have)
        return;
    rng_init(&g, RNG_CPU, IMG2IMG_SEED);
    rng_normal(&g, have, first->count);
    rng_normal(&g, have + first->count, second->count);
    refcheck_row(r, "sd15 img2img posterior noise", refcheck_error(have, first->x, first->count),
                 0);
    refcheck_row(r, "sd15 img2img noise",
                 refcheck_error(have + first->count, second->x, second->count), 0);
    free(have);
}

static void check_img2img_run(struct refcheck_scene *s, const struct safetensors *file)
{
    struct refcheck_tensor image = refcheck_tensor_named(file, "image");
    struct refcheck_tensor posterior = refcheck_tensor_named(file, "posterior_noise");
    struct refcheck_tensor noise = refcheck_tensor_named(file, "noise");
    struct refcheck_tensor want = refcheck_tensor_named(file, "out");
    const size_t pixels = 3 * (size_t)s->request.width * (size_t)s->request.height;
    const int steps = s->request.steps;
    const int skip = schedule_img2img_start(steps, s->request.denoising_strength);
    double sigmas[REFCHECK_MAX_STEPS + 2], timesteps[REFCHECK_MAX_STEPS + 1];
    float *x = calloc(s->each, sizeof *x);
    struct refcheck_guide g = {.scene = s, .timesteps = timesteps + skip};
    struct error err = {0};

    bool ok = (x && image.x && posterior.x && noise.x && image.count == pixels &&
               posterior.count == s->each && noise.count == s->each) ||
              error_set(&err, ERROR_CORRUPT, "the file lacks pictures or noise of this size");
    ok = ok && (refcheck_scene_timesteps(s, timesteps, steps) ||
                error_set(&err, ERROR_CORRUPT, "more steps than the model was trained with"));
    if (ok) {
        check_img2img_draws(s->r, &posterior, &noise);
        refcheck_scene_sigmas(s, sigmas, timesteps, steps);
        ok = refcheck_scene_encode(s, x, &image, posterior.x, &err);
    }
    for (size_t i = 0; ok && i < s->each; i++)
        x[i] = (float)(x[i] + sigmas[skip] * noise.x[i]);
    if (ok &&
        refcheck_scene_run(&g, sampler_find("Euler", NULL), x, sigmas + skip, steps - skip, &err))
        refcheck_scene_decode(s, "sd15 img2img picture", x, &want);
    else
        refcheck_fail(s->r, "sd15 img2img", err.text);
    free(x);
    free(image.x);
    free(posterior.x);
    free(noise.x);
    free(want.x);
}

static void check_img2img(struct refcheck *r)
{
    struct safetensors *file = refcheck_tensors(r, "sd15/img2img.safetensors");
    struct refcheck_scene s;

    if (!file)
        return;
    if (refcheck_scene_open(&s, r, "sd15", "sd15 img2img", file, "noise"))
        check_img2img_run(&s, file);
    refcheck_scene_close(&s);
    safetensors_close(file);
}

void refcheck_pipeline(struct refcheck *r)
{
    check_diffusers(r);
    check_k_diffusion(r);
    check_img2img(r);
}
