/* One network of a model, as a graph laid out for a device, with its weights found: everything a
 * plan measures and a run walks.  Nothing large is allocated until network_start. */
#ifndef PLAN_NETWORK_H
#define PLAN_NETWORK_H

#include "engine/exec.h"
#include "model/lora_set.h"
#include "model/model.h"
#include "nn/unet.h"

struct network {
    struct graph *graph;
    struct weights *weights;
    struct exec *exec;
    int ids;                 /* text encoder: [n, 1, 1, tokens] */
    int last;                /* second text encoder: what the pooled text is read from */
    int more;                /* text encoder: [1, width, 1, vectors]; 0 where there are none */
    struct unet_inputs unet; /* UNet */
    int in;                  /* VAE: latent or picture */
    int out;
    size_t resident_bytes; /* weights in memory while it runs */
    size_t arena_bytes;
    double flops;                 /* one run */
    double seconds;               /* one run, modelled */
    double merge_seconds;         /* of these, what is saved once LoRAs are merged */
    const struct lora_set *loras; /* those of its options */
};

/* most_arena_bytes: what needs more is of no use, and need not be laid out (exec_new); 0: no limit.
 */
struct network_options {
    enum graph_attention_mode attention;
    size_t most_arena_bytes;
    bool is_beside_weights; /* UNet: most_arena_bytes is for the weights, too, if only streamed ones
                             */
    const struct lora_set
        *loras;  /* added to the weights; borrowed, must outlive the network; or NULL */
    int chunks;  /* of 77 tokens: of a UNet's prompts; all that text encoders see; 0: one each */
    int vectors; /* text encoders: of textual inversions, the ids behind the vocabulary */
};

struct network_vae_options {
    enum graph_attention_mode attention;
    size_t most_arena_bytes;
    int band_rows; /* the VAE runs in bands of so many rows, to the same bits; 0: at once */
    int again;     /* levels that are then computed again and again (vae_tiling) */
};

/* Makers.  The model and the backend are borrowed and must outlive the network.  On true the caller
 * owns *out and ends it with network_clear; a failure leaves nothing. */
bool network_text_encoder(struct network *out, const struct model *m, struct backend *b, int n,
                          int clip_skip, const struct network_options *options,
                          struct error *err) MUST_CHECK;
/* SDXL's and its refiner's second encoder, with the bytes of its projection.  clip_skip 1 is for
 * both of SDXL's encoders the layer it was trained with, which is 2. */
bool network_text_encoder_2(struct network *out, const struct model *m, struct backend *b, int n,
                            int clip_skip, const struct network_options *options,
                            struct error *err) MUST_CHECK;
bool network_unet(struct network *out, const struct model *m, struct backend *b, int n,
                  int latent_h, int latent_w, const struct network_options *options,
                  struct error *err) MUST_CHECK;
bool network_vae_decoder(struct network *out, const struct model *m, struct backend *b, int n,
                         int latent_h, int latent_w, const struct network_vae_options *options,
                         struct error *err) MUST_CHECK;
bool network_vae_encoder(struct network *out, const struct model *m, struct backend *b, int n,
                         int latent_h, int latent_w, const struct network_vae_options *options,
                         struct error *err) MUST_CHECK;

/* The UNet sees a mask and a masked picture's latent beside the latent. */
bool network_is_inpainting(const struct model_info *info);

/* Tokens of a prompt, as the UNet sees them. */
int network_tokens(const struct model_info *info);

/* Accepts zeroes. */
void network_clear(struct network *n);

#endif
