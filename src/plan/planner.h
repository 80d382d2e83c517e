/* What the parts of the planner share: the plan they fill in and the ways they choose from.
 * Internal to plan/. */
#ifndef PLAN_PLANNER_H
#define PLAN_PLANNER_H

#include "plan/gen_plan.h"

/* Everything a choice looks at. */
struct planner {
    struct gen_plan *plan;
    const struct gen_request *request;
    struct gen_request second; /* the second pass, where there is one */
    bool has_second, has_second_text;
    const struct plan_models *models;
    struct backend *backend;
    const struct plan_bounds *bounds;
    size_t least_bytes; /* of the leanest way through the phase at hand */
    bool ends_early;    /* one phase that does not fit is enough to know */
    size_t worst_bytes; /* largest of them over the phases that do not fit; 0: all fit */
    enum plan_phase worst_phase;
};

/* What is added to a model's weights; NULL: nothing. */
const struct lora_set *planner_loras(const struct planner *p, const struct model *m);

bool planner_is_forbidden(const struct planner *p, enum memory_optimization o);

/* What a phase works for: the request, or its second pass. */
const struct gen_request *planner_request(const struct planner *p, enum plan_phase phase);

/* The request's latents are those of an inpainting model, whose UNet sees the mask and the masked
 * picture's latent too. */
bool planner_is_inpainting(const struct planner *p);

/* An upscaler that works on pixels: a network, or a filter that is none of the latent modes. */
bool planner_upscales_pixels(const struct planner *p);

/* The second pass has no step after such an upscaler: the enlarged pictures are the result. */
bool planner_only_enlarges(const struct planner *p);

/* Whether a phase's answers are guided: without the prompt and with it. */
bool planner_is_guided(const struct planner *p, enum plan_phase phase);

/* What a phase's prompts take, with numbers where the request has zeroes. */
struct gen_text_need planner_text_need(const struct planner *p, enum plan_phase phase);

/* Host memory of a phase: latents, contexts and pixels, its own and those kept from earlier. */
size_t plan_host_bytes(const struct planner *p, enum plan_phase phase);

/* What is known of a phase before its way is chosen. */
struct plan_stage planner_stage(const struct planner *p, enum plan_phase phase,
                                const struct model *m);

/* Opens a phase for a model. */
struct plan_stage *planner_begin(struct planner *p, enum plan_phase phase, const struct model *m);

/* Adds what a network takes that runs `runs` times in a phase.  Sets its weights' policy. */
void planner_add_network(struct plan_stage *stage, const struct network *n, double runs);

/* Forgets what the networks of a way take that did not fit; the networks stay. */
void planner_forget_needs(struct plan_stage *stage, size_t host_bytes);

/* Planned resident memory of the process in a phase. */
size_t planner_phase_bytes(const struct planner *p, const struct plan_stage *stage);

/* The largest arena that can fit in a phase: for network_options.  0: no bound, or the caller wants
 * to know what the leanest way takes, for which every way has to be laid out. */
size_t planner_most_arena(const struct planner *p, size_t host_bytes);

/* True when so much beside the rest of a phase cannot fit, whatever else the way does. */
bool planner_is_hopeless(const struct planner *p, size_t bytes);

/* True when the phase fits as it is; remembers the leanest way otherwise. */
bool planner_fits(struct planner *p, const struct plan_stage *stage);

/* False when what is known suffices: a phase does not fit, and nobody asks what would. */
bool planner_goes_on(const struct planner *p);

/* Nothing fits; the other phases are still tried, to tell what all of them need. */
void planner_remember_refusal(struct planner *p, enum plan_phase phase);

/* The phases.  False is an error; p->worst_bytes tells whether it fits. */
bool plan_text(struct planner *p, enum plan_phase phase, const struct model *m,
               struct error *err) MUST_CHECK;
bool plan_unet(struct planner *p, enum plan_phase phase, const struct model *m, int calls,
               struct error *err) MUST_CHECK;
/* pictures: that the VAE encodes or decodes. */
bool plan_vae(struct planner *p, enum plan_phase phase, const struct model *m, int pictures,
              struct error *err) MUST_CHECK;
/* Whether plan_vae has more to do than to lay the whole picture out: that cannot fit.  Guesses no
 * where it cannot tell. */
bool plan_vae_is_long(const struct planner *p, enum plan_phase phase, const struct model *m);
bool plan_upscale(struct planner *p, struct error *err) MUST_CHECK;

#endif
