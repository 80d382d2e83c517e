/* Small pictures of a latent while it is being made.
 *
 * With a TAESD (nn/taesd.h) a real, small decoder; without one a linear estimate of the colours, a
 * pixel for each place of the latent.  Neither takes part in a run's plan: what a preview takes is
 * known before, to be added to what the process holds (plan_size_ask's beside_bytes). */
#ifndef PIPELINE_PREVIEW_H
#define PIPELINE_PREVIEW_H

#include "engine/backend.h"
#include "image/image.h"
#include "model/model.h"

struct preview;

/* For latents of m.  taesd_path is a VAE (model/model_vae.h), which must be a tiny one that fits
 * them; NULL: the linear estimate, which knows latents of SD 1.x and SDXL.  The backend is
 * borrowed, m is not kept.  The caller owns *out. */
bool preview_open(struct preview **out, const struct model *m, const char *taesd_path,
                  struct backend *b, struct error *err) MUST_CHECK;

/* Accepts NULL. */
void preview_close(struct preview *p);

/* The most bytes that drawing takes, whatever the latent's size, the picture included. */
size_t preview_bytes(const struct preview *p);

/* Draws latent, planes of w x h in the sampler's scale.  A latent too large for a small picture is
 * averaged down first.  May be called while another graph is started on the backend, between its
 * runs, by the thread that runs it.  On true the caller owns *out. */
bool preview_draw(struct preview *p, struct image *out, const float *latent, int w, int h,
                  struct error *err) MUST_CHECK;

/* Where the linear estimate and the TAESD take no more of a latent. */
enum { PREVIEW_LINEAR_SIDE = 256, PREVIEW_TAESD_SIDE = 64 };

#endif
