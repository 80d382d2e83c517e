#include "base/clock.h"
#include "pipeline/stages.h"
#include "sampler/brownian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One model's share of the steps. */
struct turn {
    const struct expert *expert;
    const struct text_cond *cond;
    struct schedule_train train;
    int call, calls;
};

/* What the sampler's questions are answered with. */
struct denoiser {
    const struct stage *stage;
    struct turn turns[2];   /* the base's, the refiner's */
    struct turn *turn;      /* who answers; NULL before the first question */
    double hand_over_sigma; /* here and below the refiner answers; negative: never */
    double turn_started;
    struct rng *rngs;         /* one per picture */
    float *in;                /* the network's, the latents of a call */
    float *out;               /* its answers, all rounds */
    float *embedding;         /* one row a latent of a call */
    size_t each;              /* numbers of one latent */
    const int *texts;         /* those the network has; NULL: none yet */
    int n_steps, evaluations; /* to make, and asked for so far */
};

static void write_timestep(struct denoiser *d, float timestep)
{
    const struct unet_config *c = &model_view(d->turn->expert->model)->unet;
    struct network *net = d->turn->expert->unet;

    for (int i = 0; i < d->turn->expert->denoise->batch; i++)
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

/* The step, from 0 on, that the question at hand belongs to. */
static int step_of(const struct denoiser *d)
{
    const struct sampler *sampler = d->stage->request->sampler;
    const int n = d->n_steps, expected = sampler_evaluations(sampler, n);
    const int step = sampler->typical_evaluations
                         ? (int)(sampler_progress(sampler, d->evaluations, expected) * (double)n)
                         : d->evaluations * n / expected;
    return step < n ? step : n - 1;
}

/* One part of what the network is told, of a call that begins with a part of the answer.  Copies
 * are needed where texts do not follow each other as the call wants them. */
static void write_texts(const struct denoiser *d, int tensor, const float *from, float *copies,
                        size_t each, const int *texts)
{
    const int pictures = d->stage->plan->batch, batch = d->turn->expert->denoise->batch;
    struct network *net = d->turn->expert->unet;

    if (!copies) {
        exec_write(net->exec, tensor, from + (size_t)texts[0] * each, BACKEND_ROWS);
        return;
    }
    for (int i = 0; i < batch; i++)
        memcpy(copies + (size_t)i * each, from + (size_t)texts[i / pictures] * each,
               each * sizeof *copies);
    exec_write(net->exec, tensor, copies, BACKEND_ROWS);
}

/* What the network is told besides the latent, for one round of a step. */
static void write_cond(const struct denoiser *d, int round, int step)
{
    const struct text_cond *c = d->turn->cond;
    const struct network *net = d->turn->expert->unet;
    const int *texts = c->set.texts + step * c->set.n_parts + round;
    float *copies = c->call;

    write_texts(d, net->unet.context, c->rows, copies, c->each, texts);
    if (copies)
        copies += (size_t)d->turn->expert->denoise->batch * c->each;
    if (net->unet.added)
        write_texts(d, net->unet.added, c->added, copies, c->each_added, texts);
}

/* A network that answers in one call keeps its texts until others are due. */
static void update_cond(struct denoiser *d, int step)
{
    const struct prompt_set *set = &d->turn->cond->set;
    const int *now = set->texts + step * set->n_parts;

    if (!d->texts || memcmp(d->texts, now, (size_t)set->n_parts * sizeof *now) != 0)
        write_cond(d, 0, step);
    d->texts = now;
}

/* One call of the network.  Where their number is only an estimate (error control; a step that two
 * models share), the shares of the phase shrink towards its end instead of going beyond it. */
static bool call_network(struct denoiser *d, struct error *err)
{
    const struct stage *s = d->stage;
    struct turn *turn = d->turn;
    double call = turn->call++, calls = turn->calls;

    if (s->request->sampler->typical_evaluations || s->refiner.model) {
        double from = sampler_progress(NULL, call, turn->calls);
        calls = 1 / (sampler_progress(NULL, call + 1, turn->calls) - from);
        call = from * calls;
    }
    return stages_call(s, turn->expert->unet, turn->expert->denoise_phase, call, calls, err);
}

/* Asks the network once or, with guidance in turn, once for each part of the answer. */
static bool ask(struct denoiser *d, struct error *err)
{
    const struct plan_stage *phase = d->turn->expert->denoise;
    struct network *net = d->turn->expert->unet;
    const int step = step_of(d);

    for (int round = 0; round < phase->rounds; round++) {
        if (phase->rounds > 1)
            write_cond(d, round, step);
        else
            update_cond(d, step);
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

static void end_turn(struct denoiser *d)
{
    if (d->turn)
        stages_end(d->stage, d->turn->expert->unet, d->turn->expert->denoise_phase,
                   d->turn_started);
    d->turn = NULL;
}

/* Experts share the steps by noise: whoever is to answer at this level takes the arena, the other
 * gives back its weights.  Nobody gets a second turn. */
static bool take_turn(struct denoiser *d, double sigma, struct error *err)
{
    const bool refines = d->turn == &d->turns[1] || sigma <= d->hand_over_sigma;
    struct turn *turn = &d->turns[refines];

    if (d->turn == turn)
        return true;
    end_turn(d);
    d->turn_started = clock_seconds();
    if (!stages_begin(d->stage, turn->expert->unet, err))
        return false;
    d->turn = turn;
    d->texts = NULL;
    return true;
}

/* Shows what the picture is going to be. */
static void show(const struct denoiser *d, const float *denoised)
{
    const struct stage *s = d->stage;
    const struct plan_stage *phase = d->turn->expert->denoise;
    const double made = d->turns[0].call + d->turns[1].call;
    const double expected = d->turns[0].calls + d->turns[1].calls;

    if (s->watch && s->watch->denoised)
        s->watch->denoised(s->watch->ctx, denoised, phase->latent_w, phase->latent_h,
                           fmin(1, sampler_progress(s->request->sampler, made, expected)));
}

static bool predict(void *ctx, float *denoised, const float *x, double sigma, struct error *err)
{
    struct denoiser *d = ctx;
    const struct gen_plan *plan = d->stage->plan;
    size_t n = d->each * (size_t)plan->batch;
    double scale = 1 / sqrt(sigma * sigma + 1), guidance = d->stage->request->cfg_scale;

    if (!take_turn(d, sigma, err))
        return false;
    const struct plan_stage *phase = d->turn->expert->denoise;
    struct network *net = d->turn->expert->unet;
    enum model_prediction prediction = model_view(d->turn->expert->model)->schedule.prediction;
    const struct prompt_set *set = &d->turn->cond->set;

    for (size_t i = 0; i < n; i++)
        d->in[i] = (float)(x[i] * scale);
    if (phase->batch > plan->batch)
        memcpy(d->in + n, d->in, n * sizeof *d->in);
    exec_write(net->exec, net->unet.sample, d->in, BACKEND_PLANES);
    write_timestep(d, (float)schedule_timestep(&d->turn->train, sigma));
    relieve(d->stage, d->turn->expert->denoise);
    if (!ask(d, err))
        return false;

    d->evaluations++;
    for (size_t i = 0; i < n; i++) {
        double v = clean(prediction, x[i], d->out[i], sigma), away = 0;
        for (int k = 1; k < set->n_parts; k++)
            away +=
                set->weights[k] * (clean(prediction, x[i], d->out[(size_t)k * n + i], sigma) - v);
        denoised[i] = (float)(v + guidance * away);
    }
    show(d, denoised);
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
    const struct sampler *sampler = d->stage->request->sampler;
    size_t n = d->each * (size_t)d->stage->plan->batch;

    float *scratch = stages_numbers(n * (size_t)(sampler->n_scratch + 1), err);
    struct sampler_run run = {.x = x,
                              .n = n,
                              .sigmas = sigmas,
                              .n_steps = n_steps,
                              .denoise = predict,
                              .denoise_ctx = d,
                              .noise = draw,
                              .noise_ctx = d,
                              .scratch = scratch};
    bool ok = scratch && sampler->run(&run, err);
    end_turn(d);
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

static bool init_turns(struct denoiser *d, const struct text_cond *cond, struct error *err)
{
    const struct expert *experts[] = {&d->stage->base, &d->stage->refiner};

    for (int i = 0; i < 2 && experts[i]->model; i++) {
        const struct schedule_betas betas = betas_of(&model_view(experts[i]->model)->schedule);
        const struct plan_stage *phase = experts[i]->denoise;
        d->turns[i] = (struct turn){
            .expert = experts[i], .cond = &cond[i], .calls = phase->calls * phase->rounds};
        if (!schedule_train_init(&d->turns[i].train, &betas, err))
            return false;
    }
    return true;
}

/* Room for whichever of the networks takes more. */
static bool init_numbers(struct denoiser *d, struct error *err)
{
    const struct expert *experts[] = {&d->stage->base, &d->stage->refiner};
    const struct plan_stage *base = experts[0]->denoise;
    const size_t channels = (size_t)model_view(experts[0]->model)->vae.latent_channels;
    size_t in = 0, embedding = 0;

    for (int i = 0; i < 2 && experts[i]->model; i++) {
        const size_t batch = (size_t)experts[i]->denoise->batch;
        const size_t width = (size_t)model_view(experts[i]->model)->unet.channels[0];
        in = batch > in ? batch : in;
        embedding = batch * width > embedding ? batch * width : embedding;
    }
    d->each = channels * (size_t)base->latent_w * (size_t)base->latent_h;
    d->in = stages_numbers(d->each * in, err);
    d->out = stages_numbers(d->each * (size_t)(base->batch * base->rounds), err);
    d->embedding = stages_numbers(embedding, err);
    d->rngs = calloc((size_t)d->stage->plan->batch, sizeof *d->rngs);
    return d->in && d->out && d->embedding &&
           (d->rngs ||
            error_set(err, ERROR_MEMORY, "no memory for %d pictures", d->stage->plan->batch));
}

static void clear(struct denoiser *d)
{
    schedule_train_clear(&d->turns[0].train);
    schedule_train_clear(&d->turns[1].train);
    free(d->in);
    free(d->out);
    free(d->embedding);
    free(d->rngs);
}

/* The request's sigmas, and the one at which the refiner takes over. */
static bool fill_sigmas(double *sigmas, struct denoiser *d, struct error *err)
{
    const struct stage *s = d->stage;
    const struct gen_request *r = s->request;
    const bool sdxl = model_view(s->base.model)->family != MODEL_SD1;
    const struct schedule_inputs inputs = {.train = &d->turns[0].train, .sdxl = sdxl};
    const double almost = 1 + 1e-6; /* samplers may ask at sigmas that went through a logarithm */

    if (!sampler_sigmas(sigmas, r->sampler, r->schedule->kind, gen_request_steps(r).all, &inputs,
                        err))
        return false;
    d->hand_over_sigma =
        s->refiner.model ? sigmas[gen_request_refiner_step(r, gen_request_steps(r).all)] * almost
                         : -1;
    return true;
}

bool denoise(struct latents *out, const struct stage *s, const struct text_cond *cond,
             const struct image *input, struct error *err)
{
    const struct gen_request *r = s->request;
    struct denoiser d = {.stage = s};
    double *sigmas = calloc(sampler_sigmas_room(gen_request_steps(r).all), sizeof *sigmas);
    float *x = NULL;

    bool ok = sigmas || error_set(err, ERROR_MEMORY, "no memory for %d steps", r->steps);
    ok = ok && init_numbers(&d, err) &&
         (x = stages_numbers(d.each * (size_t)s->plan->batch, err)) && init_turns(&d, cond, err) &&
         fill_sigmas(sigmas, &d, err);
    if (ok) {
        const struct gen_steps steps = gen_request_steps(r);
        const int skip = steps.skipped, n_steps = steps.all - skip;
        s->result->steps = d.n_steps = n_steps;
        /* A strength so low that no step is left gives the input's latent as it is. */
        ok = start(&d, x, input, n_steps > 0 ? sigmas[skip] : 0, err) &&
             (n_steps == 0 || sample(&d, x, sigmas + skip, n_steps, err));
    }
    if (ok) {
        *out = (struct latents){x, d.each};
        x = NULL;
    }
    clear(&d);
    free(sigmas);
    free(x);
    return ok;
}
