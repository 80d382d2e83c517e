/* From a planned request to pictures: text encode, denoise, decode.
 *
 * A pipeline is a loaded model on a device, with an arena that serves one run after another.  One
 * thread uses it at a time. */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "image/mask.h"
#include "plan/gen_plan.h"
#include "request/gen_warnings.h"
#include "text/tokenizer.h"

struct pipeline;

/* What somebody who waits wants to know.  All may be NULL. */
struct watch {
    void *ctx;
    /* done of total network calls of a phase; done grows by fractions within a call. */
    void (*progress)(void *ctx, enum plan_phase phase, double done, double total);
    /* Asked between operations; true stops the run with ERROR_CANCELLED. */
    bool (*cancelled)(void *ctx);
    /* Asked after each answer of the UNet; true ends the sampling there: the guess of the clean
     * latents is decoded as it is, and result.finished says so.  A second pass that was to follow
     * enlarges and samples nothing. */
    bool (*finish)(void *ctx);
    /* Asked between the UNet's calls; true when the system is short of memory: weights that are
     * held are streamed from then on, which gives their memory back and changes no bit of the
     * picture. */
    bool (*pressed)(void *ctx);
    /* After each answer of the UNet: its guess of the first picture's clean latent, planes of w x h
     * in the sampler's scale (pipeline/preview.h draws it); done is the part of all steps that is
     * behind, to 1. */
    void (*denoised)(void *ctx, const float *latent, int w, int h, double done);
};

struct gen_result {
    struct image *images; /* owned; n_images of them */
    int n_images;
    double seconds[PLAN_PHASES];
    double total_seconds;
    int steps;     /* really run */
    bool finished; /* the watch ended the sampling early */
    bool relieved; /* pressure made the run stream what its plan held */
    struct gen_warnings warnings;
    size_t planned_peak_bytes;
    size_t measured_peak_bytes; /* 0 where the system does not say */
};

/* Opens the model and finds its tokenizer: in the model's folder, or in tokenizer_dir (NULL: none).
 * The backend is borrowed.  The caller owns *out. */
bool pipeline_open(struct pipeline **out, const char *model_path, const char *tokenizer_dir,
                   struct backend *b, struct error *err) MUST_CHECK;

/* Accepts NULL. */
void pipeline_close(struct pipeline *p);

/* Gives back what one run leaves for the next: the arena and what was freed.  The model stays open.
 */
void pipeline_release(struct pipeline *p);

/* Puts the VAE at path in the place of the model's (model/model_vae.h); NULL: the model's own
 * again. Plans made before it must not be run any more. */
bool pipeline_set_vae(struct pipeline *p, const char *path, struct error *err) MUST_CHECK;

/* Opens the model that takes over where the request's refiner_switch_at says, SDXL's refiner or
 * another SDXL model; it stays until the next call.  NULL: none from now on.  Its tokenizer is its
 * own unless pipeline_open was given one; without either, the base's serves. */
bool pipeline_set_refiner(struct pipeline *p, const char *model_path, struct error *err) MUST_CHECK;

/* The network that enlarges between the passes, for requests with a hires.upscaler_path; it stays
 * until the next call.  NULL: none from now on. */
bool pipeline_set_upscaler(struct pipeline *p, const char *path, struct error *err) MUST_CHECK;

/* The folder of textual inversions: the name of a file in a prompt stands for its vectors.  NULL:
 * none.  One that is missing is an empty one. */
bool pipeline_set_embeddings(struct pipeline *p, const char *dir, struct error *err) MUST_CHECK;

/* Reads the request's prompts for the models at hand and fills in r->text, which a plan goes by.
 * n_tokens, which may be NULL, are those of the longest text of the prompt and of the negative
 * prompt.  pipeline_plan does it by itself. */
bool pipeline_read_prompts(struct gen_request *r, struct pipeline *p, size_t n_tokens[2],
                           struct error *err) MUST_CHECK;
/* Opens the LoRAs that the request and its prompt name, by their names in place (NULL: none) and
 * by their paths, for the model and for the refiner; call it again when either of them changes.
 * They stay until the next call; plans made before it must not be run any more.  It cannot fail:
 * what is left out is told in the warnings of every run until the next call.  r NULL: none from now
 * on.
 */
void pipeline_set_loras(struct pipeline *p, const struct gen_request *r,
                        const struct lora_set_place *place);

const struct model *pipeline_model(const struct pipeline *p);
struct plan_models pipeline_models(const struct pipeline *p);
const struct tokenizer *pipeline_tokenizer(const struct pipeline *p);

/* Plans the request.  bounds NULL: nothing limits the plan; otherwise base_bytes is filled in here,
 * from the process as it is now and what the plan itself holds (plan_settle).  On true the caller
 * owns *out; otherwise it is empty. */
bool pipeline_plan(struct gen_plan *out, struct pipeline *p, const struct gen_request *r,
                   const struct plan_bounds *bounds, struct error *err) MUST_CHECK;

/* Img2img's pictures; borrowed. */
struct pipeline_input {
    const struct image *image; /* of the size that the request's input names */
    const struct mask *mask; /* as it was read: white is painted anew; brought to the picture's size
                                where it has another; NULL for none */
};

/* Runs one round of a planned request (gen_request_round).  input is NULL for txt2img.  The
 * pictures have gen_request_result_size, but for a mask that is black everywhere, which full_res
 * cannot take: then the whole picture is worked on, and a warning says so.  On true the caller owns
 * *out and clears it. */
bool pipeline_run(struct gen_result *out, struct pipeline *p, const struct gen_request *r,
                  struct gen_plan *plan, const struct pipeline_input *input,
                  const struct watch *watch, struct error *err) MUST_CHECK;

void pipeline_result_clear(struct gen_result *r);

#endif
