#include "refcheck_scene.h"

#include "nn/unet.h"
#include "nn/vae.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double setting(const struct refcheck_scene *s, const char *key)
{
    const char *text = json_string_value(json_object_get(s->settings, key));
    return text ? strtod(text, NULL) : NAN;
}

static const char *text_setting(const struct refcheck_scene *s, const char *key)
{
    const char *text = json_string_value(json_object_get(s->settings, key));
    return text ? text : "";
}

static bool read_settings(struct refcheck_scene *s, const struct safetensors *file, int latent_w,
                          int latent_h, struct error *err)
{
    const int scale = vae_scale(&model_view(s->model)->vae);
    const double steps = setting(s, "steps"), guidance = setting(s, "cfg_scale");

    if (!(steps >= 1 && steps < REFCHECK_MAX_STEPS) || !(guidance >= 0))
        return error_set(err, ERROR_CORRUPT, "%s does not say its steps and cfg_scale",
                         safetensors_path(file));
    s->request = gen_request_defaults();
    s->request.prompt = text_setting(s, "prompt");
    s->request.negative_prompt = text_setting(s, "negative_prompt");
    s->request.steps = (int)steps;
    s->request.cfg_scale = guidance;
    s->request.width = scale * latent_w;
    s->request.height = scale * latent_h;
    if (json_object_get(s->settings, "switch_at"))
        s->request.refiner_switch_at = setting(s, "switch_at");
    if (json_object_get(s->settings, "strength")) {
        s->request.mode = GEN_IMG2IMG;
        s->request.denoising_strength = setting(s, "strength");
    }
    return true;
}

bool refcheck_scene_timesteps(const struct refcheck_scene *s, double *timesteps, int n_steps)
{
    const bool leading = refcheck_leading(s->model);
    const int last = s->train.n - 1, stride = s->train.n / n_steps;

    for (int i = 0; i < n_steps; i++) {
        const int from_end = n_steps - 1 - i;
        timesteps[i] = leading ? stride * from_end + model_view(s->model)->schedule.steps_offset
                               : (n_steps > 1 ? (double)last * from_end / (n_steps - 1) : last);
        if (timesteps[i] > last)
            return false;
    }
    return true;
}

void refcheck_scene_sigmas(const struct refcheck_scene *s, double *sigmas, const double *timesteps,
                           int n_steps)
{
    for (int i = 0; i < n_steps; i++) {
        const int low = (int)timesteps[i];
        const double part = timesteps[i] - low;
        sigmas[i] = s->train.sigma[low];
        if (part > 0)
            sigmas[i] += part * (s->train.sigma[low + 1] - s->train.sigma[low]);
    }
    sigmas[n_steps] = 0;
}

/* As written in the configuration: a float of 0.00085 is not 0.00085. */
static double as_written(float beta)
{
    return round((double)beta * 1e9) / 1e9;
}

static bool init_train(struct refcheck_scene *s, struct error *err)
{
    const struct schedule_config *c = &model_view(s->model)->schedule;
    const struct schedule_betas betas = {.train_timesteps = c->train_timesteps,
                                         .beta_start = as_written(c->beta_start),
                                         .beta_end = as_written(c->beta_end),
                                         .scaled_linear = c->scaled_linear,
                                         .zero_snr = c->zero_snr};
    return schedule_train_init(&s->train, &betas, err);
}

void refcheck_scene_close(struct refcheck_scene *s)
{
    text_encode_clear(&s->cond);
    text_encode_clear(&s->refiner_cond);
    pipeline_result_clear(&s->result);
    if (s->arena)
        s->r->backend->fn->arena_free(s->r->backend, s->arena, s->plan.arena_bytes);
    gen_plan_clear(&s->plan);
    schedule_train_clear(&s->train);
    tokenizer_close(s->tokenizer[0]);
    tokenizer_close(s->tokenizer[1]);
    model_close(s->model);
    model_close(s->refiner);
    json_decref(s->settings);
}

static bool open_tokenizers(struct refcheck_scene *s, struct error *err)
{
    const struct model_info *info = model_view(s->model);

    for (int i = 0; i < 2; i++)
        if (info->has_part[MODEL_TEXT_ENCODER + i] && info->tokenizer_dir[i] &&
            !tokenizer_open(&s->tokenizer[i], info->tokenizer_dir[i], err))
            return false;
    return s->tokenizer[0] || s->tokenizer[1] ||
           error_set(err, ERROR_NOT_FOUND, "the model's folder has no tokenizer");
}

bool refcheck_scene_open(struct refcheck_scene *s, struct refcheck *r, const char *model,
                         const char *name, const struct safetensors *file, const char *noise)
{
    struct error err = {0};
    const struct tensor_info *latent = safetensors_find(file, noise);
    const struct plan_bounds bounds = gen_plan_no_bounds(0);

    *s = (struct refcheck_scene){.r = r, .label = model, .settings = refcheck_metadata(file)};
    if (!latent || latent->n_dims != 4) {
        refcheck_fail(r, name, "no starting noise in the file");
        return false;
    }
    s->model = refcheck_model(r, model, false);
    if (!s->model)
        return false;
    if (json_object_get(s->settings, "switch_at") &&
        !(s->refiner = refcheck_model(r, "sdxl-refiner", false)))
        return false;
    bool ok = open_tokenizers(s, &err) && init_train(s, &err) &&
              read_settings(s, file, (int)latent->dims[3], (int)latent->dims[2], &err) &&
              gen_plan_make(&s->plan, &s->request,
                            &(const struct plan_models){.base = s->model, .refiner = s->refiner},
                            r->backend, &bounds, NULL, &err) &&
              r->backend->fn->arena_new(r->backend, &s->arena, s->plan.arena_bytes, &err);
    if (ok) {
        s->each = (size_t)(latent->n_bytes / 4);
        s->result.images = calloc(1, sizeof *s->result.images);
        s->result.n_images = 1;
        s->stage =
            (struct stage){.base = stages_base(s->model, s->tokenizer, &s->request, &s->plan),
                           .backend = r->backend,
                           .arena = s->arena,
                           .request = &s->request,
                           .plan = &s->plan,
                           .result = &s->result};
        if (s->refiner)
            s->stage.refiner =
                stages_refiner(&s->stage.base, s->refiner, s->tokenizer, &s->request, &s->plan);
        ok = s->result.images ? text_encode(&s->cond, &s->stage, &s->stage.base, &err)
                              : error_set(&err, ERROR_MEMORY, "no memory");
        ok = ok &&
             (!s->refiner || text_encode(&s->refiner_cond, &s->stage, &s->stage.refiner, &err));
    }
    if (!ok)
        refcheck_fail(r, name, err.text);
    return ok;
}

static double answer(enum model_prediction prediction, double x, double v, double sigma)
{
    if (prediction == MODEL_EPSILON)
        return x - sigma * v;
    return x / (sigma * sigma + 1) - v * sigma / sqrt(sigma * sigma + 1);
}

static bool guided(void *ctx, float *denoised, const float *x, double sigma, struct error *err)
{
    struct refcheck_guide *g = ctx;
    const struct refcheck_scene *s = g->scene;
    const struct expert *expert = g->refines ? &s->stage.refiner : &s->stage.base;
    const struct model_info *info = model_view(expert->model);
    const struct unet_config *c = &info->unet;
    const struct network *net = expert->unet;
    const size_t n = s->each, rows = (size_t)expert->denoise->batch;
    const float t = (float)(g->timesteps ? g->timesteps[g->call] : //
                                schedule_timestep(&s->train, sigma));
    float *numbers = calloc(2 * n + 2 * (size_t)c->channels[0], sizeof *numbers);
    if (!numbers)
        return error_set(err, ERROR_MEMORY, "no memory");
    float *embedding = numbers + 2 * n;

    if (g->trail && (size_t)g->call < g->trail_room && g->call < REFCHECK_MAX_STEPS) {
        memcpy(g->trail + (size_t)g->call * n, x, n * sizeof *x);
        g->sigma[g->call] = sigma;
    }
    g->call++;
    for (size_t i = 0; i < rows * n; i++)
        numbers[i] = (float)(x[i % n] / sqrt(sigma * sigma + 1));
    for (size_t i = 0; i < rows; i++)
        unet_timestep_embedding(embedding + i * (size_t)c->channels[0], &t, 1, c->channels[0],
                                c->flip_sin_to_cos, c->freq_shift);
    exec_write(net->exec, net->unet.sample, numbers, BACKEND_PLANES);
    exec_write(net->exec, net->unet.timestep, embedding, BACKEND_ROWS);
    const bool ok = exec_run(net->exec, NULL, NULL, err);
    if (ok)
        exec_read(net->exec, net->out, numbers, BACKEND_PLANES);
    for (size_t i = 0; ok && i < n; i++) {
        double v = numbers[i];
        if (rows == 2)
            v += s->request.cfg_scale * ((double)numbers[n + i] - v);
        denoised[i] = (float)answer(info->schedule.prediction, x[i], v, sigma);
    }
    free(numbers);
    return ok;
}

static bool next_noise(void *ctx, float *out, size_t n, double from, double to, struct error *err)
{
    struct refcheck_guide *g = ctx;

    (void)from, (void)to;
    if (g->n_noises < n)
        return error_set(err, ERROR_CORRUPT, "the file has too few step noises");
    memcpy(out, g->noises, n * sizeof *out);
    g->noises += n;
    g->n_noises -= n;
    return true;
}

bool refcheck_scene_run(struct refcheck_guide *g, const struct sampler *sampler, float *x,
                        const double *sigmas, int n_steps, struct error *err)
{
    const struct refcheck_scene *s = g->scene;
    const struct network *net = g->refines ? s->stage.refiner.unet : s->stage.base.unet;
    const struct text_cond *cond = g->refines ? &s->refiner_cond : &s->cond;
    float *scratch = calloc(s->each * (size_t)(sampler->n_scratch + 1), sizeof *scratch);
    const struct sampler_run run = {.x = x,
                                    .n = s->each,
                                    .sigmas = sigmas,
                                    .n_steps = n_steps,
                                    .denoise = guided,
                                    .denoise_ctx = g,
                                    .noise = next_noise,
                                    .noise_ctx = g,
                                    .scratch = scratch};

    bool ok = scratch || error_set(err, ERROR_MEMORY, "no memory");
    if (ok && exec_start(net->exec, s->arena, err)) {
        exec_write(net->exec, net->unet.context, cond->rows, BACKEND_ROWS);
        if (cond->added)
            exec_write(net->exec, net->unet.added, cond->added, BACKEND_ROWS);
        ok = sampler->run(&run, err);
        exec_stop(net->exec);
    } else {
        ok = false;
    }
    if (ok && g->trail && (size_t)n_steps < g->trail_room)
        memcpy(g->trail + (size_t)n_steps * s->each, x, s->each * sizeof *x);
    free(scratch);
    return ok;
}

void refcheck_scene_decode(struct refcheck_scene *s, const char *name, const float *latent,
                           const struct refcheck_tensor *want)
{
    const struct vae_config *c = &model_view(s->model)->vae;
    const struct network *net = &s->plan.phase[PLAN_VAE_DECODE].net;
    const size_t pixels = (size_t)graph_shape_count(graph_tensor_view(net->graph, net->out)->shape);
    struct error err = {0};
    float *numbers = calloc(pixels + s->each, sizeof *numbers);

    if (!numbers || !want->x || want->count != pixels) {
        refcheck_fail(s->r, name, "the file has no picture of this size");
        free(numbers);
        return;
    }
    for (size_t i = 0; i < s->each; i++)
        numbers[i] = latent[i] / c->scaling_factor + c->shift_factor;
    bool ok = exec_start(net->exec, s->arena, &err);
    if (ok) {
        exec_write(net->exec, net->in, numbers, BACKEND_PLANES);
        ok = exec_run(net->exec, NULL, NULL, &err);
        if (ok)
            exec_read(net->exec, net->out, numbers, BACKEND_PLANES);
        exec_stop(net->exec);
    }
    for (size_t i = 0; i < pixels; i++)
        numbers[i] = fminf(fmaxf(numbers[i] / 2 + 0.5f, 0), 1);
    if (ok)
        refcheck_row(s->r, name, refcheck_error(numbers, want->x, pixels), REFCHECK_STAGE);
    else
        refcheck_fail(s->r, name, err.text);
    free(numbers);
}

bool refcheck_scene_encode(struct refcheck_scene *s, float *latent,
                           const struct refcheck_tensor *image, const float *posterior_noise,
                           struct error *err)
{
    const struct vae_config *c = &model_view(s->model)->vae;
    const struct network *net = &s->plan.phase[PLAN_VAE_ENCODE].net;
    float *numbers = calloc(image->count + 2 * s->each, sizeof *numbers);

    bool ok = numbers || error_set(err, ERROR_MEMORY, "no memory");
    ok = ok && exec_start(net->exec, s->arena, err);
    if (ok) {
        for (size_t i = 0; i < image->count; i++)
            numbers[i] = 2 * image->x[i] - 1;
        exec_write(net->exec, net->in, numbers, BACKEND_PLANES);
        ok = exec_run(net->exec, NULL, NULL, err);
        if (ok)
            exec_read(net->exec, net->out, numbers, BACKEND_PLANES);
        exec_stop(net->exec);
    }
    for (size_t i = 0; ok && i < s->each; i++) {
        const float log_variance = fminf(fmaxf(numbers[s->each + i], -30), 20);
        const float z = numbers[i] + expf(0.5f * log_variance) * posterior_noise[i];
        latent[i] = (z - c->shift_factor) * c->scaling_factor;
    }
    free(numbers);
    return ok;
}
