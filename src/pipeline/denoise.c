#include "base/clock.h"
#include "nn/vae.h"
#include "pipeline/noise.h"
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
    const struct pass *pass;
    const struct gen_request *request; /* of the pass */
    struct turn turns[2];              /* the base's, the refiner's */
    struct turn *turn;                 /* who answers; NULL before the first question */
    double hand_over_sigma;            /* here and below the refiner answers; negative: never */
    double turn_started;
    float *in;                /* the network's, the latents of a call */
    float *out;               /* its answers, all rounds */
    float *embedding;         /* one row a latent of a call */
    size_t each, places;      /* numbers of one latent, and of one of its planes */
    const int *texts;         /* those the network has; NULL: none yet */
    int n_steps, evaluations; /* to make, and asked for so far */
    bool finished;            /* somebody had seen enough: `in` holds the guess */
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
    const struct sampler *sampler = d->request->sampler;
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

/* A pass that takes another one's texts may have more steps; the texts do not change then. */
static const int *texts_at(const struct prompt_set *set, int step)
{
    return set->texts + (step < set->n_steps ? step : set->n_steps - 1) * set->n_parts;
}

/* What the network is told besides the latent, for one round of a step. */
static void write_cond(const struct denoiser *d, int round, int step)
{
    const struct text_cond *c = d->turn->cond;
    const struct network *net = d->turn->expert->unet;
    const int *texts = texts_at(&c->set, step) + round;
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
    const int *now = texts_at(set, step);

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

    if (d->request->sampler->typical_evaluations || d->pass->refiner) {
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
    phase->merge = s->plan->levers.merge_loras = false;
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
    stages_restore(d->stage, turn->expert->denoise);
    d->texts = NULL;
    return true;
}

/* Somebody has seen enough: the guess is kept where the network's input lay. */
static bool is_enough(struct denoiser *d, const float *denoised, size_t n)
{
    const struct watch *watch = d->stage->watch;

    if (!watch || !watch->finish || !watch->finish(watch->ctx))
        return false;
    memcpy(d->in, denoised, n * sizeof *d->in);
    d->finished = d->stage->result->finished = true;
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
                           d->pass->behind +
                               d->pass->share *
                                   fmin(1, sampler_progress(d->request->sampler, made, expected)));
}

/* The latents of a call, scaled; beside each what an inpainting model is shown. */
static void write_input(struct denoiser *d, const float *x, double scale)
{
    const struct plan_stage *phase = d->turn->expert->denoise;
    const int pictures = d->stage->plan->batch;
    const size_t all = (size_t)model_view(d->turn->expert->model)->unet.in_channels * d->places;

    for (int i = 0; i < phase->batch; i++) {
        float *to = d->in + (size_t)i * all;
        const float *from = x + (size_t)(i % pictures) * d->each;
        for (size_t k = 0; k < d->each; k++)
            to[k] = (float)(from[k] * scale);
        if (all > d->each)
            memcpy(to + d->each, d->pass->shown, (all - d->each) * sizeof *to);
    }
}

/* Where the mask keeps the picture, a latent stays what it was: A1111's apply_blend. */
static void keep(const struct denoiser *d, float *x)
{
    const struct pass *p = d->pass;
    const size_t n = d->each * (size_t)d->stage->plan->batch;

    for (size_t i = 0; p->stays && i < n; i++) {
        const float anew = p->places[i % d->places];
        x[i] = x[i] * anew + p->stays[i] * (1 - anew);
    }
}

static bool predict(void *ctx, float *denoised, const float *x, double sigma, struct error *err)
{
    struct denoiser *d = ctx;
    const struct gen_plan *plan = d->stage->plan;
    size_t n = d->each * (size_t)plan->batch;
    double scale = 1 / sqrt(sigma * sigma + 1), guidance = d->request->cfg_scale;

    if (!take_turn(d, sigma, err))
        return false;
    struct network *net = d->turn->expert->unet;
    enum model_prediction prediction = model_view(d->turn->expert->model)->schedule.prediction;
    const struct prompt_set *set = &d->turn->cond->set;

    write_input(d, x, scale);
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
    keep(d, denoised);
    show(d, denoised);
    return !is_enough(d, denoised, n) || error_set(err, ERROR_CANCELLED, "enough");
}

/* For each picture what its own seed gives: an increment of its motion, or its generator's next
 * draw. */
static bool draw(void *ctx, float *out, size_t n, double from, double to, struct error *err)
{
    struct denoiser *d = ctx;
    (void)err;
    for (size_t i = 0; i < n; i += d->each) {
        struct rng *rng = &d->stage->rngs[i / d->each];
        if (d->request->sampler->noise == SAMPLER_NOISE_BROWNIAN && to > 0)
            brownian_noise(rng->seed, out + i, d->each, from, to);
        else
            rng_normal(rng, out + i, d->each);
    }
    return true;
}

/* The sampler's starting point: noise, or what comes in with noise on it. */
static bool start(struct denoiser *d, float *x, double sigma, struct error *err)
{
    const struct plan_stage *phase = d->pass->base->denoise;
    const int scale = vae_scale(&model_view(d->pass->base->model)->vae);
    const struct noise_shape shape = {(int)(d->each / d->places), phase->latent_h, phase->latent_w,
                                      scale};
    const double level =
        d->pass->from_noise ? sampler_noise_scale(d->request->sampler, sigma) : sigma;
    float *noise = stages_numbers(d->each, err);
    bool ok = noise != NULL;

    for (int i = 0; ok && i < d->stage->plan->batch; i++) {
        float *to = x + (size_t)i * d->each;
        ok = noise_start(noise, &d->stage->rngs[i], d->stage->request, i, shape, err);
        for (size_t k = 0; ok && k < d->each; k++)
            to[k] = (float)(to[k] + level * noise[k]);
    }
    free(noise);
    return ok;
}

static bool sample(struct denoiser *d, float *x, const double *sigmas, int n_steps,
                   struct error *err)
{
    const struct sampler *sampler = d->request->sampler;
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
                              .options = &d->request->sampling,
                              .scratch = scratch};
    bool ok = scratch && sampler->run(&run, err);
    if (d->finished) {
        memcpy(x, d->in, n * sizeof *x);
        ok = true;
    }
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

static bool init_turns(struct denoiser *d, struct error *err)
{
    const struct expert *experts[] = {d->pass->base, d->pass->refiner};
    const struct text_cond *conds[] = {d->pass->cond, d->pass->refiner_cond};

    for (int i = 0; i < 2 && experts[i]; i++) {
        const struct schedule_betas betas = betas_of(&model_view(experts[i]->model)->schedule);
        const struct plan_stage *phase = experts[i]->denoise;
        d->turns[i] = (struct turn){
            .expert = experts[i], .cond = conds[i], .calls = phase->calls * phase->rounds};
        if (!schedule_train_init(&d->turns[i].train, &betas, err))
            return false;
    }
    return true;
}

/* Room for whichever of the networks takes more. */
static bool init_numbers(struct denoiser *d, struct error *err)
{
    const struct expert *experts[] = {d->pass->base, d->pass->refiner};
    const struct plan_stage *base = experts[0]->denoise;
    const size_t channels = (size_t)model_view(experts[0]->model)->vae.latent_channels;
    size_t in = 0, embedding = 0;

    for (int i = 0; i < 2 && experts[i]; i++) {
        const struct unet_config *c = &model_view(experts[i]->model)->unet;
        const size_t batch = (size_t)experts[i]->denoise->batch;
        const size_t planes = batch * (size_t)c->in_channels;
        const size_t widths = batch * (size_t)c->channels[0];
        in = planes > in ? planes : in;
        embedding = widths > embedding ? widths : embedding;
    }
    d->places = (size_t)base->latent_w * (size_t)base->latent_h;
    d->each = channels * d->places;
    d->in = stages_numbers(d->places * in, err);
    d->out = stages_numbers(d->each * (size_t)(base->batch * base->rounds), err);
    d->embedding = stages_numbers(embedding, err);
    return d->in && d->out && d->embedding;
}

static void clear(struct denoiser *d)
{
    schedule_train_clear(&d->turns[0].train);
    schedule_train_clear(&d->turns[1].train);
    free(d->in);
    free(d->out);
    free(d->embedding);
}

/* The pass's sigmas, and the one at which the refiner takes over. */
static bool fill_sigmas(double *sigmas, struct denoiser *d, struct gen_steps steps,
                        struct error *err)
{
    const struct gen_request *r = d->request;
    const bool sdxl = model_view(d->pass->base->model)->family != MODEL_SD1;
    const struct schedule_inputs inputs = {.train = &d->turns[0].train, .sdxl = sdxl};
    const double almost = 1 + 1e-6; /* samplers may ask at sigmas that went through a logarithm */

    if (!sampler_sigmas(sigmas, r->sampler, r->schedule->kind, steps.all, &inputs, err))
        return false;
    d->hand_over_sigma =
        d->pass->refiner ? sigmas[gen_request_refiner_step(r, steps.all)] * almost : -1;
    return true;
}

bool denoise(struct latents *x, const struct stage *s, const struct pass *pass, struct error *err)
{
    struct denoiser d = {.stage = s, .pass = pass, .request = pass->base->request};
    const struct gen_steps steps = gen_request_steps(d.request);
    const int n_steps = steps.all - steps.skipped;
    double *sigmas = calloc(sampler_sigmas_room(steps.all), sizeof *sigmas);

    bool ok = sigmas || error_set(err, ERROR_MEMORY, "no memory for %d steps", steps.all);
    ok = ok && init_numbers(&d, err) && init_turns(&d, err) && fill_sigmas(sigmas, &d, steps, err);
    d.n_steps = n_steps;
    s->result->steps += n_steps;
    /* A strength so low that no step is left gives the input's latent as it is. */
    ok = ok && start(&d, x->x, n_steps > 0 ? sigmas[steps.skipped] : 0, err) &&
         (n_steps == 0 || sample(&d, x->x, sigmas + steps.skipped, n_steps, err));
    if (ok)
        keep(&d, x->x);
    clear(&d);
    free(sigmas);
    return ok;
}
