#include "plan/planner.h"

#include "base/size.h"

#include <stdint.h>

enum {
    PIXEL_FLOATS = 3 * sizeof(float),
    PIXEL_CODED = 4, /* the picture's file while it is written */
};

/* Latents a run keeps beside the sampler's scratch: noise, the model's input and its two answers.
 */
enum { LATENT_COPIES = 6 };

/* Pages of the page cache mapped and dropped again. */
static const double STREAM_BYTES_PER_SECOND = 4e9;

bool planner_is_forbidden(const struct planner *p, enum memory_optimization o)
{
    return p->bounds->optimization[o] == TRI_FALSE;
}

size_t planner_phase_bytes(const struct planner *p, const struct plan_phase_need *n)
{
    return p->bounds->base_bytes + GEN_PLAN_PROCESS_BYTES + n->weights_bytes + n->arena_bytes +
           n->host_bytes;
}

/* Beside the whole arena.  A single run's largest weights may come before the arena is full. */
static size_t streamed_bytes(const struct network *n, double runs)
{
    size_t bytes = weights_peak_resident_bytes(n->weights, WEIGHTS_STREAMED);
    size_t first = exec_first_run_bytes(n->exec);

    if (runs > 1 || first >= bytes + n->arena_bytes)
        return bytes;
    return first - n->arena_bytes;
}

struct plan_phase_need planner_need(const struct network *n, bool stream, size_t host_bytes,
                                    double runs)
{
    enum weights_policy policy = stream ? WEIGHTS_STREAMED : WEIGHTS_HELD;

    weights_set_policy(n->weights, policy);
    return (struct plan_phase_need){
        .used = true,
        .weights_bytes = stream ? streamed_bytes(n, runs) : n->resident_bytes,
        .arena_bytes = n->arena_bytes,
        .host_bytes = host_bytes,
        .flops = runs * n->flops,
        .seconds =
            runs * (n->seconds +
                    (stream ? (double)weights_bytes(n->weights) / STREAM_BYTES_PER_SECOND : 0))};
}

size_t planner_most_arena(const struct planner *p, size_t host_bytes)
{
    const size_t fixed = p->bounds->base_bytes + GEN_PLAN_PROCESS_BYTES + host_bytes;

    if (!p->ends_early || !p->bounds->limit_bytes)
        return 0;
    return p->bounds->limit_bytes > fixed ? p->bounds->limit_bytes - fixed : 1;
}

bool planner_is_hopeless(const struct planner *p, size_t bytes)
{
    const size_t most = planner_most_arena(p, 0);
    return most && bytes > most;
}

/* Keeps the need when it fits; remembers the leanest one otherwise. */
bool planner_keep(struct planner *p, enum plan_phase phase, const struct plan_phase_need *n)
{
    size_t bytes = planner_phase_bytes(p, n);

    if (!p->least_bytes || bytes < p->least_bytes)
        p->least_bytes = bytes;
    if (p->bounds->limit_bytes && bytes > p->bounds->limit_bytes)
        return false;
    p->plan->phase[phase] = *n;
    if (n->arena_bytes > p->plan->arena_bytes)
        p->plan->arena_bytes = n->arena_bytes;
    return true;
}

/* Host memory by phase.  Sizes are those of an accepted request and a checked model: far from
 * overflowing. */
size_t planner_host_bytes(const struct planner *p, enum plan_phase phase)
{
    const struct model_info *info = model_view(p->model);
    const struct gen_request *r = p->request;
    size_t pixels = (size_t)r->width * (size_t)r->height, batch = (size_t)r->batch_size;
    size_t latent = sizeof(float) * (size_t)info->vae.latent_channels * (size_t)p->plan->latent_w *
                    (size_t)p->plan->latent_h * batch;
    size_t context = sizeof(float) * batch * (r->cfg_scale != 1.0 ? 2 : 1) *
                     (size_t)network_tokens(info) * (size_t)info->unet.cross_attention_dim;

    switch (phase) {
    case PLAN_TEXT_ENCODE:
        return context;
    case PLAN_VAE_ENCODE: /* img2img's picture itself is the caller's, and in the base */
        return context + pixels * PIXEL_FLOATS + latent;
    case PLAN_DENOISE:
        return context + latent * (size_t)(LATENT_COPIES + r->sampler->n_scratch);
    case PLAN_VAE_DECODE:
        return latent + latent / batch + 3 * pixels * batch + pixels * PIXEL_FLOATS;
    case PLAN_IMAGE_ENCODE:
        return 3 * pixels * batch + pixels * PIXEL_CODED;
    case PLAN_PHASES:
        break;
    }
    return 0;
}

/* Nothing fits; the other phases are still tried, to tell what all of them need. */
void planner_remember_refusal(struct planner *p, enum plan_phase phase)
{
    size_t bytes = p->least_bytes ? p->least_bytes : SIZE_MAX; /* no way is allowed at all */
    if (bytes > p->worst_bytes) {
        p->worst_bytes = bytes;
        p->worst_phase = phase;
    }
}
