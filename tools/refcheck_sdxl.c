/* SDXL: both text encoders, and whole runs. */
#include "refcheck_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Holds what the UNet would be told about one text against "ROW.KEYcontext" and "ROW.KEYpooled". */
static void check_text(struct refcheck *r, const struct text_cond *cond, const struct model *m,
                       int which, const struct safetensors *file, int row, const char *key,
                       const char *label)
{
    const struct model_info *info = model_view(m);
    char name[128], full[64];

    snprintf(full, sizeof full, "%.20scontext", key);
    struct refcheck_tensor context = refcheck_tensor(file, row, full);
    snprintf(full, sizeof full, "%.20spooled", key);
    struct refcheck_tensor pooled = refcheck_tensor(file, row, full);
    const size_t each = TOKENIZER_LENGTH * (size_t)info->unet.cross_attention_dim;

    snprintf(name, sizeof name, "%s text encoders, row %d, %.20scontext", label, row, key);
    if (!context.x || !pooled.x || context.count != each ||
        pooled.count != (size_t)info->clip[1].projection_dim) {
        refcheck_fail(r, name, "the file does not hold contexts of this size");
    } else {
        refcheck_row(r, name, refcheck_error(cond->rows + (size_t)which * each, context.x, each),
                     REFCHECK_STAGE);
        snprintf(name, sizeof name, "%s text encoders, row %d, %.20spooled", label, row, key);
        refcheck_row(
            r, name,
            refcheck_error(cond->added + (size_t)which * (size_t)info->unet.addition_input_dim,
                           pooled.x, pooled.count),
            REFCHECK_STAGE);
    }
    free(context.x);
    free(pooled.x);
}

struct texts {
    struct refcheck *r;
    const struct model *model;
    struct tokenizer *tokenizer[2];
    const char *label;
};

static void check_text_row(const struct texts *t, const struct safetensors *file, int row,
                           const char *prompt, const char *negative)
{
    struct gen_request request = gen_request_defaults();
    const struct plan_bounds bounds = gen_plan_no_bounds(0);
    struct gen_plan plan = {0};
    struct gen_result result = {0};
    struct text_cond cond = {0};
    struct error err = {0};
    struct stage s = {
        .backend = t->r->backend, .request = &request, .plan = &plan, .result = &result};

    request.prompt = prompt;
    request.negative_prompt = negative;
    request.prompt_syntax = GEN_SYNTAX_OFF; /* diffusers cuts the longest one at 75 tokens */
    request.width = request.height = 64;
    bool ok = gen_plan_make(&plan, &request, &(const struct plan_models){.base = t->model},
                            t->r->backend, &bounds, NULL, &err) &&
              t->r->backend->fn->arena_new(t->r->backend, &s.arena, plan.arena_bytes, &err);
    s.base = stages_base(t->model, t->tokenizer, &request, &plan);
    ok = ok && text_encode(&cond, &s, &s.base, &err);
    if (ok) {
        check_text(t->r, &cond, t->model, 0, file, row, "neg_", t->label);
        check_text(t->r, &cond, t->model, 1, file, row, "", t->label);
    } else {
        refcheck_fail(t->r, t->label, err.text);
    }
    text_encode_clear(&cond);
    if (s.arena)
        t->r->backend->fn->arena_free(t->r->backend, s.arena, plan.arena_bytes);
    gen_plan_clear(&plan);
}

/* The prompts stand in the file's metadata. */
static void check_texts(const struct texts *t, const struct safetensors *file)
{
    json_t *texts = refcheck_metadata(file);
    const char *negative = json_string_value(json_object_get(texts, "negative_prompt"));
    char key[32];
    int n = 0;

    for (;; n++) {
        snprintf(key, sizeof key, "prompt.%d", n);
        const char *prompt = json_string_value(json_object_get(texts, key));
        if (!prompt || !negative)
            break;
        check_text_row(t, file, n, prompt, negative);
    }
    if (!n)
        refcheck_fail(t->r, t->label, "the file holds no prompts");
    json_decref(texts);
}

/* Single files carry no vocabulary: the folder's serve them too. */
static void check_text_encoders(struct refcheck *r)
{
    struct safetensors *file = refcheck_tensors(r, "sdxl/text_encoder.safetensors");
    struct model *folder = file ? refcheck_model(r, "sdxl", false) : NULL;
    struct texts t = {.r = r};
    struct error err = {0};

    for (int i = 0; folder && i < 2; i++) {
        const char *dir = model_view(folder)->tokenizer_dir[i];
        if (!dir || !tokenizer_open(&t.tokenizer[i], dir, &err))
            refcheck_fail(r, "sdxl tokenizers", dir ? err.text : "the folder has none");
    }
    for (int single = 0; t.tokenizer[0] && t.tokenizer[1] && single < 2; single++) {
        struct model *m = refcheck_model(r, "sdxl", single);
        t.model = m;
        t.label = single ? "sdxl single file" : "sdxl";
        if (m)
            check_texts(&t, file);
        model_close(m);
    }
    tokenizer_close(t.tokenizer[0]);
    tokenizer_close(t.tokenizer[1]);
    model_close(folder);
    safetensors_close(file);
}

/* SDXL: only the last latents are stated. */
static void check_sdxl_run(struct refcheck_scene *s, const struct safetensors *file)
{
    struct refcheck_tensor noise = refcheck_tensor_named(file, "noise");
    struct refcheck_tensor latents = refcheck_tensor_named(file, "latents");
    struct refcheck_tensor image = refcheck_tensor_named(file, "image");
    double sigmas[REFCHECK_MAX_STEPS + 2], timesteps[REFCHECK_MAX_STEPS + 1];
    struct refcheck_guide g = {.scene = s, .timesteps = timesteps};
    const int n_steps = s->request.steps;
    struct error err = {0};

    bool ok = noise.x && latents.x && noise.count == s->each && latents.count == s->each &&
              refcheck_scene_timesteps(s, timesteps, n_steps);
    if (ok) {
        refcheck_scene_sigmas(s, sigmas, timesteps, n_steps);
        for (size_t i = 0; i < s->each; i++)
            noise.x[i] = (float)(noise.x[i] * sigmas[0]);
    } else {
        error_set(&err, ERROR_CORRUPT, "the file lacks noise or latents of this size");
    }
    if (ok && refcheck_scene_run(&g, sampler_find("Euler", NULL), noise.x, sigmas, n_steps, &err)) {
        refcheck_row(s->r, "sdxl txt2img euler", refcheck_error(noise.x, latents.x, s->each),
                     REFCHECK_STAGE);
        refcheck_scene_decode(s, "sdxl txt2img euler picture", noise.x, &image);
    } else {
        refcheck_fail(s->r, "sdxl txt2img euler", err.text);
    }
    free(noise.x);
    free(latents.x);
    free(image.x);
}

static void check_txt2img(struct refcheck *r)
{
    struct safetensors *file = refcheck_tensors(r, "sdxl/pipeline.safetensors");
    struct refcheck_scene s;

    if (!file)
        return;
    if (refcheck_scene_open(&s, r, "sdxl", "sdxl txt2img", file, "noise"))
        check_sdxl_run(&s, file);
    refcheck_scene_close(&s);
    safetensors_close(file);
}

/* The base's model leaves its latent to the refiner at the settings' switch_at. */
static bool hand_over(struct refcheck_scene *s, const struct safetensors *file, float *x,
                      const double *timesteps, const double *sigmas, struct error *err)
{
    struct refcheck_tensor half = refcheck_tensor_named(file, "base_latents");
    struct refcheck_guide base = {.scene = s, .timesteps = timesteps};
    const int n_steps = s->request.steps;
    const int at = gen_request_refiner_step(&s->request, n_steps);
    struct refcheck_guide refiner = {.scene = s, .timesteps = timesteps + at, .refines = true};
    const struct sampler *euler = sampler_find("Euler", NULL);

    bool ok = (s->plan.phase[PLAN_REFINE].used && half.x && half.count == s->each) ||
              error_set(err, ERROR_CORRUPT, "the file has no hand-over");
    if (ok && (ok = refcheck_scene_run(&base, euler, x, sigmas, at, err)))
        refcheck_row(s->r, "sdxl refiner, latent handed over", refcheck_error(x, half.x, s->each),
                     REFCHECK_STAGE);
    ok = ok && refcheck_scene_run(&refiner, euler, x, sigmas + at, n_steps - at, err);
    free(half.x);
    return ok;
}

static void check_refiner_run(struct refcheck_scene *s, const struct safetensors *file)
{
    struct refcheck_tensor noise = refcheck_tensor_named(file, "noise");
    struct refcheck_tensor latents = refcheck_tensor_named(file, "latents");
    double sigmas[REFCHECK_MAX_STEPS + 2], timesteps[REFCHECK_MAX_STEPS + 1];
    struct error err = {0};

    bool ok = (noise.x && latents.x && noise.count == s->each && latents.count == s->each &&
               refcheck_scene_timesteps(s, timesteps, s->request.steps)) ||
              error_set(&err, ERROR_CORRUPT, "the file lacks noise or latents of this size");
    if (ok) {
        refcheck_scene_sigmas(s, sigmas, timesteps, s->request.steps);
        for (size_t i = 0; i < s->each; i++)
            noise.x[i] = (float)(noise.x[i] * sigmas[0]);
        ok = hand_over(s, file, noise.x, timesteps, sigmas, &err);
    }
    if (ok)
        refcheck_row(s->r, "sdxl refiner, latent", refcheck_error(noise.x, latents.x, s->each),
                     REFCHECK_STAGE);
    else
        refcheck_fail(s->r, "sdxl refiner", err.text);
    free(noise.x);
    free(latents.x);
}

static void check_refiner(struct refcheck *r)
{
    struct safetensors *file = refcheck_tensors(r, "sdxl/refiner.safetensors");
    struct refcheck_scene s;

    if (!file)
        return;
    if (refcheck_scene_open(&s, r, "sdxl", "sdxl refiner", file, "noise"))
        check_refiner_run(&s, file);
    refcheck_scene_close(&s);
    safetensors_close(file);
}

void refcheck_sdxl(struct refcheck *r)
{
    check_text_encoders(r);
    check_txt2img(r);
    check_refiner(r);
}
