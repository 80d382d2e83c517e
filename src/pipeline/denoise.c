#include "base/clock.h"
#include "pipeline/stages.h"
#include "sampler/brownian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the sampler's questions are answered with. */
struct denoiser {
    const struct stage *stage;
    const struct expert *expert; /* who answers */
    const struct text_cond *cond;
    const struct schedule_train *train;
    struct rng *rngs; /* one per picture */
    float *in;        /* the network's, the latents of a call */
    float *out;       /* its answers, all rounds */
    float *embedding; /* one row a latent of a call */
    size_t each;      /* numbers of one latent */
    int call, calls;
};

static void write_timestep(struct denoiser *d, float timestep)
{
    const struct unet_config *c = &model_view(d->expert->model)->unet;
    struct network *net = d->expert->unet;

    for (int i = 0; i < d->expert->denoise->batch; i++)
        unet_timestep_embedding(d->embedding + (size_t)i * (size_t)c->channels[0], &timestep, 1,
                                c->channels[0], c->flip_sin_to_cos, c->freq_shift);
    exec_write(net->exec, net->unet.timestep, d->embedding, BACKEND_ROWS);
}

/* The clean latent from the network's answer, for either kind of prediction, as k-diffusion's
 * CompVisDenoiser and CompVisVDenoiser scale it. */
static double clean(enum model_prediction prediction, double x, double answer, double sigma)
{
    if (prediction == MODEL_EPSILON)
        return x - sigma * answer;
    return x / (sigma * sigma + 1) - answer * sigma / sqrt(sigma * sigma + 1);
}

static size_t count_of(const struct network *net, int tensor)
{
    return (size_t)graph_shape_count(graph_tensor_view(net->graph, tensor)->shape);
}

/* What the network is told besides the latent, for one round. */
static void write_cond(const struct denoiser *d, size_t round)
{
    struct network *net = d->expert->unet;

    exec_write(net->exec, net->unet.context,
               d->cond->rows + round * count_of(net, net->unet.context), BACKEND_ROWS);
    if (net->unet.added)
        exec_write(net->exec, net->unet.added,
                   d->cond->added + round * count_of(net, net->unet.added), BACKEND_ROWS);
}

/* One call of the network.  Where their number is only an estimate, the shares of the phase shrink
 * towards its end instead of going beyond it. */
static bool call_network(struct denoiser *d, struct error *err)
{
    const struct sampler *sampler = d->stage->request->sampler;
    double call = d->call++, calls = d->calls;

    if (sampler->typical_evaluations) {
        double from = sampler_progress(sampler, call, calls);
        calls = 1 / (sampler_progress(sampler, call + 1, d->calls) - from);
        call = from * calls;
    }
    return stages_call(d->stage, d->expert->unet, d->expert->denoise_phase, call, calls, err);
}

/* Asks the network once or, with guidance in turn, once without the prompt and once with it. */
static bool ask(struct denoiser *d, struct error *err)
{
    const struct plan_stage *phase = d->expert->denoise;
    struct network *net = d->expert->unet;

    for (int round = 0; round < phase->rounds; round++) {
        if (phase->rounds > 1)
            write_cond(d, (size_t)round);
        if (!call_network(d, err))
            return false;
        exec_read(net->exec, net->out, d->out + (size_t)(round * phase->batch) * d->each,
                  BACKEND_PLANES);
    }
    return true;
}

/* Under pressure the plan changes to one that needs less and draws the same picture. */
static void relieve(const struct stage *s, struct plan_stage *phase)
{
    if (phase->stream || !s->plan->may_stream || !s->watch || !s->watch->pressed ||
        !s->watch->pressed(s->watch->ctx))
        return;
    weights_set_policy(phase->net.weights, WEIGHTS_STREAMED);
    phase->stream = s->plan->levers.stream = true;
    s->result->relieved = true;
}

static bool predict(void *ctx, float *denoised, const float *x, double sigma, struct error *err)
{
    struct denoiser *d = ctx;
    const struct gen_plan *plan = d->stage->plan;
    const struct plan_stage *phase = d->expert->denoise;
    struct network *net = d->expert->unet;
    enum model_prediction prediction = model_view(d->expert->model)->schedule.prediction;
    size_t n = d->each * (size_t)plan->batch;
    double scale = 1 / sqrt(sigma * sigma + 1), guidance = d->stage->request->cfg_scale;
    bool guided = phase->batch * phase->rounds > plan->batch;

    for (size_t i = 0; i < n; i++)
        d->in[i] = (float)(x[i] * scale);
    if (phase->batch > plan->batch)
        memcpy(d->in + n, d->in, n * sizeof *d->in);
    exec_write(net->exec, net->unet.sample, d->in, BACKEND_PLANES);
    write_timestep(d, (float)schedule_timestep(d->train, sigma));
    relieve(d->stage, d->expert->denoise);
    if (!ask(d, err))
        return false;

    for (size_t i = 0; i < n; i++) {
        double v = clean(prediction, x[i], d->out[i], sigma);
        if (guided)
            v += guidance * (clean(prediction, x[i], d->out[n + i], sigma) - v);
        denoised[i] = (float)v;
    }
    return true;
}

/* For each picture what its own seed gives: an increment of its motion, or its generator's next
 * draw, which the starting noise (to is 0) always is. */
static bool draw(void *ctx, float *out, size_t n, double from, double to, struct error *err)
{
    struct denoiser *d = ctx;
    (void)err;
    for (size_t i = 0; i < n; i += d->each) {
        struct rng *rng = &d->rngs[i / d->each];
        if (d->stage->request->sampler->noise == SAMPLER_NOISE_BROWNIAN && to > 0)
            brownian_noise(rng->seed, out + i, d->each, from, to);
        else
            rng_normal(rng, out + i, d->each);
    }
    return true;
}

/* The sampler's starting point: noise, or the input with noise on it. */
static bool start(struct denoiser *d, float *x, const struct image *input, double sigma,
                  struct error *err)
{
    const struct stage *s = d->stage;
    size_t n = d->each * (size_t)s->plan->batch;
    float *noise = stages_numbers(n, err);
    bool ok = noise != NULL;

    for (int i = 0; i < s->plan->batch; i++)
        rng_init(&d->rngs[i], s->request->rng, s->request->seed + (uint64_t)i);
    if (ok && input)
        ok = vae_encode(x, s, input, d->rngs, err);
    if (ok) {
        double scale = input ? sigma : sampler_noise_scale(s->request->sampler, sigma);
        ok = draw(d, noise, n, sigma, 0, err);
        for (size_t i = 0; i < n; i++)
            x[i] = (float)(x[i] + scale * noise[i]);
    }
    free(noise);
    return ok;
}

static bool sample(struct denoiser *d, float *x, const double *sigmas, int n_steps,
                   struct error *err)
{
    const struct stage *s = d->stage;
    const struct sampler *sampler = s->request->sampler;
    struct network *net = d->expert->unet;
    size_t n = d->each * (size_t)s->plan->batch;
    double started = clock_seconds();

    float *scratch = stages_numbers(n * (size_t)(sampler->n_scratch + 1), err);
    bool ok = scratch && stages_begin(s, net, err);
    if (ok) {
        write_cond(d, 0);
        struct sampler_run run = {.x = x,
                                  .n = n,
                                  .sigmas = sigmas,
                                  .n_steps = n_steps,
                                  .denoise = predict,
                                  .denoise_ctx = d,
                                  .noise = draw,
                                  .noise_ctx = d,
                                  .scratch = scratch};
        ok = sampler->run(&run, err);
        stages_end(s, net, d->expert->denoise_phase, started);
    }
    free(scratch);
    return ok;
}

static struct schedule_betas betas_of(const struct schedule_config *c)
{
    return (struct schedule_betas){.train_timesteps = c->train_timesteps,
                                   .beta_start = c->beta_start,
                                   .beta_end = c->beta_end,
                                   .scaled_linear = c->scaled_linear,
                                   .zero_snr = c->zero_snr};
}

bool denoise(struct latents *out, const struct stage *s, const struct text_cond *cond,
             const struct image *input, struct error *err)
{
    const struct model_info *info = model_view(s->base.model);
    const struct gen_request *r = s->request;
    struct schedule_train train = {0};
    struct schedule_betas betas = betas_of(&info->schedule);
    struct schedule_inputs inputs = {.train = &train, .sdxl = info->family != MODEL_SD1};
    struct denoiser d = {.stage = s, .expert = &s->base, .cond = cond, .train = &train};
    const struct plan_stage *phase = s->base.denoise;
    size_t batch = (size_t)s->plan->batch, unet_batch = (size_t)phase->batch;
    size_t rounds = (size_t)phase->rounds;

    d.each = (size_t)info->vae.latent_channels * (size_t)phase->latent_w * (size_t)phase->latent_h;
    double *sigmas = calloc(sampler_sigmas_room(r->steps), sizeof *sigmas);
    float *x = stages_numbers(d.each * batch, err);
    d.rngs = calloc(batch, sizeof *d.rngs);
    d.in = stages_numbers(d.each * unet_batch, err);
    d.out = stages_numbers(d.each * unet_batch * rounds, err);
    d.embedding = stages_numbers(unet_batch * (size_t)info->unet.channels[0], err);
    bool ok = x && d.in && d.out && d.embedding;
    if (ok && (!sigmas || !d.rngs))
        ok = error_set(err, ERROR_MEMORY, "no memory for %d steps", r->steps);
    ok = ok && schedule_train_init(&train, &betas, err) &&
         sampler_sigmas(sigmas, r->sampler, r->schedule->kind, r->steps, &inputs, err);
    if (ok) {
        int skip = input ? schedule_img2img_start(r->steps, r->denoising_strength) : 0;
        int n_steps = r->steps - skip;
        d.calls = sampler_evaluations(r->sampler, n_steps) * phase->rounds;
        s->result->steps = n_steps;
        /* A strength so low that no step is left gives the input's latent as it is. */
        ok = start(&d, x, input, sigmas[skip], err) &&
             (n_steps == 0 || sample(&d, x, sigmas + skip, n_steps, err));
    }
    if (ok) {
        *out = (struct latents){x, d.each};
        x = NULL;
    }
    schedule_train_clear(&train);
    free(sigmas);
    free(x);
    free(d.rngs);
    free(d.in);
    free(d.out);
    free(d.embedding);
    return ok;
}
