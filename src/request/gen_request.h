/* What to make: one value for the command line and every wire format, checked once.
 *
 * Whole after gen_request_check returned true, and const from then on. */
#ifndef REQUEST_GEN_REQUEST_H
#define REQUEST_GEN_REQUEST_H

#include "base/error.h"
#include "image/mask_blend.h"
#include "image/resize_mode.h"
#include "sampler/rng.h"
#include "sampler/sampler.h"
#include "sampler/schedule.h"

#include <stdint.h>

enum gen_mode { GEN_TXT2IMG, GEN_IMG2IMG };

/* GEN_SYNTAX_OFF: a prompt is its words as they stand, and the model sees the first 75 tokens. */
enum gen_syntax { GEN_SYNTAX_WEBUI, GEN_SYNTAX_OFF, GEN_SYNTAX_COUNT };

/* What a model's prompts take.  Zeroes: as much as plain prompts of one chunk. */
struct gen_text_need {
    int texts;     /* different ones that are encoded */
    int chunks;    /* of 77 tokens, of each text */
    int different; /* chunks that are encoded; not more than texts * chunks */
    int parts;     /* texts of one answer of the UNet */
    int vectors;   /* of textual inversions */
    bool changes;  /* from step to step */
};

enum { GEN_MAX_LORAS = 16, GEN_MAX_LORA_SCALE = 100 };

/* A LoRA to apply.  One that is missing or does not fit gives a warning. */
struct gen_lora {
    const char *name; /* in the folder of LoRAs, without an ending; or a path; borrowed */
    bool is_path;
    double scale; /* 1: as it was trained; negative ones turn the effect around */
};

/* The second pass of txt2img: the picture is enlarged and sampled again ("hires fix"). */
struct gen_hires {
    bool enabled;
    double scale;      /* times width and height, the whole part: above 1 to GEN_MAX_HIRES_SCALE;
                          1 and less: no second pass, unless a size is given */
    int width, height; /* of the result; 0 and 0: by scale; one of them 0: the shape is kept; both:
                          what is over is cut off */
    const char *upscaler;            /* a row of image/builtin_upscaler, or whatever name stands for
                                        upscaler_path; borrowed, not NULL */
    const char *upscaler_path;       /* the file of a network; NULL: built in; borrowed */
    int steps;                       /* that are really run; 0: as many as the first pass has */
    double denoising_strength;       /* how much of the noise the second pass starts with */
    const struct sampler *sampler;   /* NULL: the first pass's */
    const struct schedule *schedule; /* NULL: the first pass's, as it was asked for */
    const char *prompt;              /* NULL or "": the first pass's; borrowed */
    const char *negative_prompt;     /* likewise */
};

enum { GEN_MAX_HIRES_SCALE = 8, GEN_MAX_INPAINT_PADDING = 1024 };

/* What is done with img2img's mask, where there is one: white is painted anew. */
struct gen_inpaint {
    double blur_x, blur_y; /* deviation in pixels of the mask's blur, 0..MASK_MAX_BLUR */
    enum mask_blend_fill fill;
    bool full_res; /* only the mask's surroundings are worked on, at the request's size, and pasted
                      into the input: the result has the input's size */
    int padding;   /* pixels around the mask that full_res sees, 0..GEN_MAX_INPAINT_PADDING */
    bool invert;   /* black is painted anew */
    bool round;    /* places of the latent are painted anew or kept, nothing between */
};

/* How many steps img2img runs, and what its generator draws. */
enum gen_img2img_rule {
    GEN_IMG2IMG_DIFFUSERS, /* int(strength * steps); the encoder's noise is drawn first */
    GEN_IMG2IMG_WEBUI,     /* int(min(strength, 0.999) * steps) + 1; the encoder's mean, so that the
                              first draw is the start's noise, as in txt2img */
    GEN_IMG2IMG_WEBUI_ALL, /* the same, but all steps ("img2img_fix_steps") */
    GEN_IMG2IMG_RULES
};

/* What a plan has to know of img2img's pictures, which pipeline_run takes. */
struct gen_input {
    int width, height; /* pixels, as the file has them; 0: the request's own */
    bool has_mask;
};

struct gen_request {
    enum gen_mode mode;
    const char *prompt;          /* UTF-8, borrowed, not NULL */
    const char *negative_prompt; /* likewise */
    enum gen_syntax prompt_syntax;
    struct gen_text_need text[2];    /* for the base and for the refiner; pipeline_read_prompts */
    struct gen_text_need hires_text; /* for the base in the second pass; likewise */
    int first_steps;                 /* of a second pass: those before it; else 0 */
    int width, height;               /* pixels; multiples of 8; of the first pass */
    int batch_size;                  /* pictures of a round, which are made together */
    int n_iter;                      /* rounds: gen_request_round */
    int steps;
    double cfg_scale; /* 1 turns guidance off and halves the work */
    const struct sampler *sampler;
    const struct schedule *schedule; /* may be Automatic: the sampler's own */
    struct sampler_options sampling; /* eta, churn, noise; of both passes */
    uint64_t seed;                   /* of the first picture: gen_request_seed */
    uint64_t subseed;                /* the variation's seed, of the first picture */
    double subseed_strength;         /* 0: no variation, 1: the subseed's noise alone */
    int seed_resize_width;  /* pixels: the noise is that of this size, put into the middle; */
    int seed_resize_height; /* 0: off */
    enum rng_kind rng;
    int clip_skip;             /* 1: the last layer */
    double denoising_strength; /* img2img: 0 keeps the input, 1 forgets it */
    double refiner_switch_at;  /* part of the steps after which the refiner takes over, where
                                  there  is one */
    enum gen_img2img_rule img2img_rule;
    enum resize_mode resize_mode; /* from the input to width x height */
    struct gen_input input;
    struct gen_inpaint inpaint; /* where input.has_mask */
    struct gen_hires hires;
    struct gen_lora loras[GEN_MAX_LORAS]; /* beside those that the prompt names */
    int n_loras;
};

/* Largest of everything; the smallest sizes are fixed. */
struct gen_limits {
    int max_side;       /* pixels */
    int64_t max_pixels; /* of one picture */
    int max_steps;
    int max_batch; /* pictures of all rounds */
    size_t max_prompt_bytes;
    int max_clip_skip;
    double max_cfg_scale;
};

/* txt2img, 512x512, one picture, 20 steps of Euler a, guidance 7, seed 1, rng cpu; no second pass,
 * and were it switched on: twice the size, "Latent", 20 steps of strength 0.4; a mask is blurred by
 * 4 pixels, keeps the original under it and leaves the whole picture to the model. */
struct gen_request gen_request_defaults(void);

struct gen_limits gen_request_default_limits(void);

/* Checks every field; resolves the Automatic schedule.  ERROR_INVALID names the field, its
 * value and what is allowed. */
bool gen_request_check(const struct gen_request *r, const struct gen_limits *limits,
                       struct error *err) MUST_CHECK;

/* Whether there is a second pass. */
bool gen_request_has_hires(const struct gen_request *r);

/* The size that the second pass works at and its result has, each side a multiple of 8 (by scale:
 * to the nearest, 4 upwards); without a second pass width x height. */
void gen_request_hires_size(const struct gen_request *r, int *width, int *height);

/* What a picture is enlarged to before it is cut to that size: not smaller on any side. */
void gen_request_hires_cover(const struct gen_request *r, int *width, int *height);

/* The size of the pictures that come out: the second pass's, the input's for full_res. */
void gen_request_result_size(const struct gen_request *r, int *width, int *height);

/* The size at which img2img's picture is encoded: width x height, but for RESIZE_MODE_LATENT the
 * input's own, to multiples of 8, where that has fewer pixels and there is no mask. */
void gen_request_encode_size(const struct gen_request *r, int *width, int *height);

/* Whether img2img's picture is brought to another size, or has a mask. */
bool gen_request_prepares(const struct gen_request *r);

/* Whether only the mask's surroundings are worked on. */
bool gen_request_is_full_res(const struct gen_request *r);

/* Steps of a schedule, and how many of them are left out at its beginning. */
struct gen_steps {
    int all, skipped;
};
struct gen_steps gen_request_steps(const struct gen_request *r);

/* The second pass as a request of its own: img2img of its size, strength, steps, sampler and
 * prompts, without another pass. */
struct gen_request gen_request_second_pass(const struct gen_request *r);

/* Whether the second pass has prompts of its own. */
bool gen_request_hires_has_prompts(const struct gen_request *r);

/* The step, of a schedule of n_steps, before which the refiner takes over: diffusers'
 * denoising_end.  Where there is a second pass the refiner belongs to that one alone. */
int gen_request_refiner_step(const struct gen_request *r, int n_steps);

/* Of picture i of a round.  Where there is a variation the subseed rises and the seed stays, as in
 * A1111. */
uint64_t gen_request_seed(const struct gen_request *r, int i);
uint64_t gen_request_subseed(const struct gen_request *r, int i);

/* The request of round i, from 0 on, of n_iter: the same with the seeds that follow.  One plan
 * serves all rounds. */
struct gen_request gen_request_round(const struct gen_request *r, int i);

const char *gen_request_img2img_rule_name(enum gen_img2img_rule rule); /* "diffusers", "webui",
                                                                        "webui all" */
const char *gen_request_syntax_name(enum gen_syntax syntax);           /* "webui", "off" */
const char *gen_request_mode_name(enum gen_mode mode);                 /* "txt2img", "img2img" */

#endif
