/* What to make: one value for the command line and every wire format, checked once.
 *
 * Whole after gen_request_check returned true, and const from then on. */
#ifndef REQUEST_GEN_REQUEST_H
#define REQUEST_GEN_REQUEST_H

#include "base/error.h"
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

struct gen_request {
    enum gen_mode mode;
    const char *prompt;          /* UTF-8, borrowed, not NULL */
    const char *negative_prompt; /* likewise */
    enum gen_syntax prompt_syntax;
    struct gen_text_need text[2]; /* for the base and for the refiner; pipeline_read_prompts */
    int width, height;            /* pixels; multiples of 8 */
    int batch_size;               /* pictures; picture i has seed + i */
    int steps;
    double cfg_scale; /* 1 turns guidance off and halves the work */
    const struct sampler *sampler;
    const struct schedule *schedule; /* may be Automatic: the sampler's own */
    uint64_t seed;
    enum rng_kind rng;
    int clip_skip;             /* 1: the last layer */
    double denoising_strength; /* img2img: 0 keeps the input, 1 forgets it */
    double refiner_switch_at;  /* part of the steps after which the refiner takes over, where
                                  there  is one */
    struct gen_lora loras[GEN_MAX_LORAS]; /* beside those that the prompt names */
    int n_loras;
};

/* Largest of everything; the smallest sizes are fixed. */
struct gen_limits {
    int max_side;       /* pixels */
    int64_t max_pixels; /* of one picture */
    int max_steps;
    int max_batch;
    size_t max_prompt_bytes;
    int max_clip_skip;
    double max_cfg_scale;
};

/* txt2img, 512x512, 20 steps of Euler a, guidance 7, seed 1, rng cpu. */
struct gen_request gen_request_defaults(void);

struct gen_limits gen_request_default_limits(void);

/* Checks every field; resolves the Automatic schedule.  ERROR_INVALID names the field, its
 * value and what is allowed. */
bool gen_request_check(const struct gen_request *r, const struct gen_limits *limits,
                       struct error *err) MUST_CHECK;

/* The step, of r->steps, before which the refiner takes over: diffusers' denoising_end. */
int gen_request_refiner_step(const struct gen_request *r);

const char *gen_request_syntax_name(enum gen_syntax syntax); /* "webui", "off" */
const char *gen_request_mode_name(enum gen_mode mode);       /* "txt2img", "img2img" */

#endif
