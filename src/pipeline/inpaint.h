/* Img2img's picture and mask: brought to the size that is worked on before a run, put back together
 * after it.  The arithmetic is A1111's (StableDiffusionProcessingImg2Img.init, apply_overlay).
 * Internal to pipeline/. */
#ifndef PIPELINE_INPAINT_H
#define PIPELINE_INPAINT_H

#include "image/mask_region.h"
#include "pipeline/stages.h"

struct inpaint {
    const struct image *picture; /* what is encoded: of gen_request_encode_size; NULL: txt2img */
    struct mask mask;            /* of the same size; px NULL: none */
    float
        *places; /* owned; of the latent, 1 where it is painted anew; NULL where there is no mask */
    struct image made;            /* the picture, where it is not the caller's */
    const struct image *original; /* what stays of it is laid over the result; NULL: nothing */
    struct image original_made;   /* that, where it is not the caller's */
    struct mask overlay;          /* of the original's size */
    bool pastes;                  /* the result is a region of the original, enlarged */
    struct mask_region region;
};

/* Adds a warning where a mask for full_res is black everywhere.  On true the caller clears *out. */
bool inpaint_prepare(struct inpaint *out, const struct stage *s, const struct pipeline_input *input,
                     struct error *err) MUST_CHECK;

/* What is encoded and of its pixels are gone from here on. */
void inpaint_forget_picture(struct inpaint *in);

/* Lays the original over the result's pictures where the mask keeps it. */
bool inpaint_restore(const struct inpaint *in, struct gen_result *result,
                     struct error *err) MUST_CHECK;

/* The mask as an inpainting model sees it, 1 where it is painted anew: the nearest pixel of each of
 * width x height places; all 1 without a mask.  cover makes the encoder's pixels gray there. */
void inpaint_show_mask(float *places, int width, int height, const struct inpaint *in, bool round);
void inpaint_cover(float *pixels, size_t n_pixels, float gray, const struct inpaint *in,
                   bool round);

void inpaint_clear(struct inpaint *in); /* accepts zeroes */

#endif
