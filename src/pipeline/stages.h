/* The stages of a run and what they share.  Internal to pipeline/. */
#ifndef PIPELINE_STAGES_H
#define PIPELINE_STAGES_H

#include "pipeline/pipeline.h"
#include "pipeline/prompt_set.h"

/* A denoiser with the encoders it was trained with. */
struct expert {
    const struct gen_request *request; /* of its pass */
    const struct model *model;
    /* For the first and the second encoder.  Without one of its own, an encoder takes the other's;
     * the second then pads with 0. */
    const struct tokenizer *tokenizer[2];
    struct network *text[2]; /* the plan's; NULL where the model has no such encoder */
    struct network *unet;
    struct plan_stage *denoise; /* the UNet's phase in the plan */
    enum plan_phase text_phase, denoise_phase;
};

struct stage {
    struct gen_request second; /* the second pass, where there is one */
    struct expert base;
    struct expert hires;                  /* the base again, of the second pass; model NULL: none */
    struct expert refiner;                /* model NULL: none */
    const struct upscaler_file *upscaler; /* of the second pass; NULL: none */
    struct rng *rngs;                     /* one for each picture; started anew by each pass */
    struct backend *backend;
    void *arena; /* at least plan->arena_bytes */
    const struct gen_request *request;
    const char *embeddings_dir; /* of textual inversions; NULL: none */
    struct gen_plan *plan;
    const struct watch *watch;
    struct gen_result *result;
};

/* What a UNet is told about the request: each different text once, the negative prompt's first.
 * Cleared with text_encode_clear. */
struct text_cond {
    struct prompt_set set; /* which text is whose, step by step */
    size_t each;           /* numbers of a text's rows */
    size_t each_added;     /* 0 where the UNet takes none */
    float *rows;           /* owned; [n_texts][each], tokens x width */
    float *added;          /* owned; [n_texts][each_added], pooled text and sizes; or NULL */
    float *call; /* owned; the rows of a call's latents, then what is added; NULL where the texts
                    lie in the order of the calls */
};

/* Pictures one after another, each latent_channels planes of latent_h x latent_w, in the network's
 * scale (multiplied by the VAE's scaling factor). */
struct latents {
    float *x; /* owned */
    size_t each;
};

/* Starts a network on the shared arena; end gives its weights' and the arena's pages back. */
bool stages_begin(const struct stage *s, struct network *n, struct error *err) MUST_CHECK;
void stages_end(const struct stage *s, struct network *n, enum plan_phase phase, double started);

/* Networks of one model read the same pages: what others have merged into their weights leaves
 * before the next one runs. */
void stages_restore(const struct stage *s, const struct plan_stage *next);

/* After the last stage: gives back what networks that stay together still hold. */
void stages_cleanup(const struct stage *s);

/* Runs a network once: call number `call` of `calls` of its phase, which are whole numbers where
 * the calls are known beforehand. */
bool stages_call(const struct stage *s, struct network *n, enum plan_phase phase, double call,
                 double calls, struct error *err) MUST_CHECK;

/* zeroed numbers, or NULL and an error */
float *stages_numbers(size_t n, struct error *err);

/* The plan's networks for its model. */
struct expert stages_base(const struct model *m, struct tokenizer *const tokenizer[2],
                          const struct gen_request *r, struct gen_plan *plan);

/* The base for the second pass. */
struct expert stages_hires(const struct expert *base, const struct gen_request *second,
                           struct gen_plan *plan);

/* Tokenizers that the refiner lacks are the base's. */
struct expert stages_refiner(const struct expert *base, const struct model *m,
                             struct tokenizer *const tokenizer[2], const struct gen_request *r,
                             struct gen_plan *plan);

/* What its prompts are read with. */
struct prompt_source stages_prompts(const struct expert *e, const char *embeddings_dir);

/* Reads the prompts and encodes them; the base's warnings are added to the result's. */
bool text_encode(struct text_cond *out, const struct stage *s, const struct expert *e,
                 struct error *err) MUST_CHECK;
void text_encode_clear(struct text_cond *c);

/* For a pass of another size: the conditioning that tells sizes. */
void text_encode_set_size(struct text_cond *c, const struct expert *e);

/* The generators of a pass's pictures, from their seeds on. */
void stages_start_rngs(const struct stage *s);

/* One walk down the noise levels. */
struct pass {
    const struct expert *base, *refiner; /* of the same request; refiner NULL: none */
    const struct text_cond *cond, *refiner_cond;
    bool from_noise;      /* what comes in counts for nothing */
    const float *stays;   /* latents that are kept where places is 0; NULL: none are */
    const float *places;  /* of one latent, 0..1: 1 where the picture is painted anew */
    double behind, share; /* parts of the run's steps: before this pass, and of this pass */
    const float *shown;   /* what an inpainting model's UNet sees: planes of the mask and of the
                            masked picture's latent; NULL for others */
};

/* x comes as latents without noise and becomes the pass's result. */
bool denoise(struct latents *x, const struct stage *s, const struct pass *pass,
             struct error *err) MUST_CHECK;

/* Decodes the latents into as many pictures, of the phase's size; images come as zeroes and are the
 * caller's to clear after a failure too. */
bool vae_decode(struct image *images, const struct stage *s, enum plan_phase phase,
                const struct latents *latents, struct error *err) MUST_CHECK;

#endif
