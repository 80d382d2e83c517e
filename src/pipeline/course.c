#include "pipeline/course.h"

#include "pipeline/hires.h"
#include "pipeline/source.h"

#include <stdlib.h>
#include <string.h>

/* What a run makes on its way. */
struct course {
    struct text_cond cond, hires_cond, refiner_cond;
    struct inpaint input;
    struct latents x;
    float *shown; /* owned; of an inpainting model */
    float *stays; /* owned; the latents that a mask keeps */
};

/* All prompts are encoded before anything is drawn. */
static bool encode_texts(struct course *c, const struct stage *s, struct error *err)
{
    return text_encode(&c->cond, s, &s->base, err) &&
           (!s->plan->phase[PLAN_HIRES_TEXT].used ||
            text_encode(&c->hires_cond, s, &s->hires, err)) &&
           (!s->refiner.model || text_encode(&c->refiner_cond, s, &s->refiner, err));
}

/* Img2img's picture as latents. */
static bool take_input(struct course *c, const struct stage *s, const struct pipeline_input *input,
                       struct error *err)
{
    const size_t batch = (size_t)s->plan->batch;

    stages_start_rngs(s);
    if (!inpaint_prepare(&c->input, s, input, err) ||
        !source_make(&c->x, &c->shown, s, &c->input, err))
        return false;
    inpaint_forget_picture(&c->input);
    if (!c->input.places)
        return true;
    c->stays = stages_numbers(c->x.each * batch, err);
    if (c->stays)
        memcpy(c->stays, c->x.x, c->x.each * batch * sizeof *c->stays);
    return c->stays != NULL;
}

/* The first pass's part of all steps. */
static double first_share(const struct stage *s)
{
    const struct gen_steps first = gen_request_steps(s->request);
    const struct gen_steps second = gen_request_steps(&s->second);
    const double n = first.all - first.skipped;
    const double m = s->hires.model ? second.all - second.skipped : 0;

    return n + m > 0 ? n / (n + m) : 1;
}

static bool first_pass(struct course *c, const struct stage *s, struct error *err)
{
    const bool refines = s->refiner.model && !s->hires.model;
    const struct pass pass = {.base = &s->base,
                              .refiner = refines ? &s->refiner : NULL,
                              .cond = &c->cond,
                              .refiner_cond = &c->refiner_cond,
                              .from_noise = s->request->mode != GEN_IMG2IMG,
                              .stays = c->stays,
                              .places = c->input.places,
                              .share = first_share(s),
                              .shown = c->shown};
    return denoise(&c->x, s, &pass, err);
}

static bool second_pass(struct course *c, const struct stage *s, struct error *err)
{
    if (!hires_enlarge(&c->x, &c->shown, s, err))
        return false;
    if (s->result->finished)
        return true;
    stages_start_rngs(s);
    const bool own = s->plan->phase[PLAN_HIRES_TEXT].used;
    if (!own)
        text_encode_set_size(&c->cond, &s->hires);
    const struct pass pass = {.base = &s->hires,
                              .refiner = s->refiner.model ? &s->refiner : NULL,
                              .cond = own ? &c->hires_cond : &c->cond,
                              .refiner_cond = &c->refiner_cond,
                              .behind = first_share(s),
                              .share = 1 - first_share(s),
                              .shown = c->shown};
    return denoise(&c->x, s, &pass, err);
}

static bool run_passes(struct course *c, const struct stage *s, const struct pipeline_input *input,
                       struct error *err)
{
    bool ok = encode_texts(c, s, err) && take_input(c, s, input, err) && first_pass(c, s, err) &&
              (!s->hires.model || second_pass(c, s, err));

    text_encode_clear(&c->cond);
    text_encode_clear(&c->hires_cond);
    text_encode_clear(&c->refiner_cond);
    free(c->shown);
    free(c->stays);
    return ok;
}

bool course_run(const struct stage *s, const struct pipeline_input *input, struct error *err)
{
    struct course c = {0};
    bool ok = run_passes(&c, s, input, err) &&
              (s->plan->phase[PLAN_VAE_DECODE].used
                   ? vae_decode(s->result->images, s, PLAN_VAE_DECODE, &c.x, err)
                   : hires_pictures(s->result->images, &c.x, s, err));

    stages_cleanup(s);
    free(c.x.x);
    ok = ok && inpaint_restore(&c.input, s->result, err);
    inpaint_clear(&c.input);
    return ok;
}
