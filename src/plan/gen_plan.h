/* What a request will take before it runs: networks laid out, bytes by phase, and the peak.
 *
 * Made from the request, the model's file headers and the device; no weight is read.  It owns the
 * networks, so that what was planned is what runs. */
#ifndef PLAN_GEN_PLAN_H
#define PLAN_GEN_PLAN_H

#include "memory/memory_policy.h"
#include "plan/network.h"
#include "plan/upscale_plan.h"
#include "request/gen_request.h"

/* Code pages, the program's and its libraries', stacks and small allocations that appear while a
 * run goes on: up to 1.2 MB have been seen. */
enum { GEN_PLAN_PROCESS_BYTES = 3 << 19 };

/* In the order of a run. */
enum plan_phase {
    PLAN_TEXT_ENCODE,
    PLAN_HIRES_TEXT,   /* the second pass's prompts, where they are others */
    PLAN_REFINER_TEXT, /* the refiner's own encoder */
    PLAN_INPUT,        /* img2img's picture and mask are brought to size */
    PLAN_VAE_ENCODE,
    PLAN_DENOISE,
    PLAN_HIRES_DECODE, /* the first pass's pictures, for an upscaler of pixels */
    PLAN_HIRES_UPSCALE,
    PLAN_HIRES_ENCODE,
    PLAN_HIRES_DENOISE,
    PLAN_REFINE, /* the last steps, by the refiner: of the second pass where there is one */
    PLAN_VAE_DECODE,
    PLAN_IMAGE_ENCODE,
    PLAN_PHASES
};

enum plan_vae {
    PLAN_VAE_WHOLE,
    PLAN_VAE_EXACT,  /* row bands with the whole picture's statistics: the same picture */
    PLAN_VAE_BLENDED /* overlapping tiles: another picture, close by */
};

/* What a plan does to need less, at the price of time: its phases taken together. */
struct plan_levers {
    bool offload;          /* networks leave memory after their phase */
    bool stream;           /* a UNet's weights come and go op by op */
    bool stream_vae;       /* the VAE's likewise */
    bool stream_text;      /* a text encoder's likewise */
    bool guidance_in_turn; /* without the prompt and with it one after the other */
    bool merge_loras;      /* into a UNet's weights, in the first step; saves time, not memory */
    enum graph_attention_mode attention;
    enum plan_vae vae;
    int band_rows;      /* pixels of an exact band */
    int vae_again;      /* levels of an exact VAE that are computed again for every norm */
    int tile_w, tile_h; /* latent places of a blended tile */
};

/* What a plan has to keep to. */
struct plan_bounds {
    size_t base_bytes;       /* resident memory of the process before the run */
    size_t limit_bytes;      /* most it may become; 0: no bound */
    struct memory_choice on; /* where the planner starts; it adds levers and never drops one */
    enum tri optimization[MEMORY_OPTIMIZATIONS]; /* TRI_FALSE: a lever it may not pull */
};

/* One phase: its networks, how they run, and what that takes.  The numbers of latents, tiles and
 * calls are those of the phase's own network. */
struct plan_stage {
    bool used;
    size_t weights_bytes; /* resident while the phase runs */
    size_t arena_bytes;
    size_t
        host_bytes; /* latents, contexts, pixels of this phase and those kept from earlier ones */
    double flops;   /* whole phase */
    double seconds; /* whole phase, modelled */
    const struct model *model; /* whose networks; borrowed */
    struct network net, net_2; /* zeroes where not used; net_2: SDXL's second text encoder */
    bool stream;               /* weights come and go op by op */
    bool merge;                /* LoRAs are merged into the weights in the first run */
    int latent_w, latent_h;
    int rounds; /* UNet: calls for one answer, 2 for guidance in turn */
    int batch;  /* UNet: latents of one call; guidance in one call doubles it */
    int calls;  /* UNet: answers; VAE: pictures */
    enum plan_vae vae;
    int band_rows;      /* of an exact VAE; else 0 */
    int again;          /* its levels that are not held (vae_tiling) */
    int tile_w, tile_h; /* of the VAE, in latent places; the latent's own unless tiles blend */
};

/* A picture smaller than its target goes through a network again, as in A1111. */
enum { PLAN_MAX_UPSCALES = 3 };

struct gen_plan {
    struct plan_levers levers;
    struct upscale_plan upscale[PLAN_MAX_UPSCALES]; /* one after the other; of PLAN_HIRES_UPSCALE */
    int n_upscales;
    bool may_stream; /* a run under pressure may stream what it holds */
    int batch;       /* pictures */
    struct plan_stage phase[PLAN_PHASES];
    size_t arena_bytes; /* largest of the phases: one arena serves them all */
    size_t base_bytes;  /* the process before the run */
    size_t limit_bytes; /* the bound it was made for; 0: none */
    size_t peak_bytes;  /* planned peak of resident memory */
    enum plan_phase peak_phase;
};

/* The models of a run, borrowed. */
struct plan_models {
    const struct model *base;
    /* Takes over at the request's refiner_switch_at; NULL: none.  Not used where base is SD 1.x or
     * no step is left for it: PLAN_REFINE is not then. */
    const struct model *refiner;
    const struct lora_set *loras, *refiner_loras; /* of each; NULL: none */
    /* For a request whose hires.upscaler_path names it; NULL: none. */
    const struct upscaler_file *upscaler;
};

/* No bound and nothing switched. */
struct plan_bounds gen_plan_no_bounds(size_t base_bytes);

/* The fastest plan within the bounds.  The models and the backend are borrowed and must outlive the
 * plan.  On true the caller owns *out.  ERROR_LIMIT when nothing fits: the sentence says how much
 * the leanest plan needs, *least_bytes as a number; with NULL it may stop at the first phase that
 * does not fit. */
bool gen_plan_make(struct gen_plan *out, const struct gen_request *r,
                   const struct plan_models *models, struct backend *b,
                   const struct plan_bounds *bounds, size_t *least_bytes,
                   struct error *err) MUST_CHECK;

/* Whether the second pass's prompts are encoded for themselves: where they are others, or change
 * from step to step. */
bool gen_plan_has_hires_text(const struct gen_request *r);

/* Steps that a phase of the UNet makes; 0 for the other phases. */
int gen_plan_steps(const struct gen_plan *p, const struct gen_request *r, enum plan_phase phase);

/* Planned resident memory of the process in a phase; 0 for one that is not used. */
size_t gen_plan_phase_bytes(const struct gen_plan *p, enum plan_phase phase);

/* Accepts zeroes. */
void gen_plan_clear(struct gen_plan *p);

const char *gen_plan_phase_name(enum plan_phase phase); /* "text encode", ... */

#endif
