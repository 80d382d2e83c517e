#include "pipeline/inpaint.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The mask at its picture's size, inverted and blurred as asked. */
static bool take_mask(struct mask *out, const struct mask *in, const struct image *picture,
                      const struct gen_inpaint *how, struct error *err)
{
    if (!mask_resize(out, in, picture->width, picture->height, RESIZE_MODE_STRETCH, err))
        return false;
    if (how->invert)
        mask_invert(out);
    return mask_blur(out, how->blur_x, how->blur_y, err);
}

static bool crop_mask(struct mask *out, const struct mask *in, struct error *err)
{
    *out = (struct mask){0};
    if (!mask_init(out, in->width, in->height, err))
        return false;
    memcpy(out->px, in->px, mask_bytes(in));
    return true;
}

/* Only the mask's surroundings: cut out and enlarged to the request's size. */
static bool cut_region(struct inpaint *in, const struct gen_request *r, const struct image *picture,
                       struct mask *mask, struct error *err)
{
    in->region = mask_region_expand(in->region, r->width, r->height, mask->width, mask->height);
    if (!mask_region_cut_mask(&in->mask, mask, in->region, r->width, r->height, err) ||
        !mask_region_cut_image(&in->made, picture, in->region, r->width, r->height, err))
        return false;
    in->overlay = *mask;
    *mask = (struct mask){0};
    in->original = picture;
    in->pastes = true;
    return true;
}

/* The whole picture: brought to the request's size with its mask. */
static bool take_whole(struct inpaint *in, const struct gen_request *r, const struct image *picture,
                       const struct mask *mask, struct error *err)
{
    if (!mask_resize(&in->mask, mask, r->width, r->height, r->resize_mode, err) ||
        !resize_mode_image(&in->made, picture, r->width, r->height, r->resize_mode, err) ||
        !resize_mode_image(&in->original_made, &in->made, r->width, r->height, RESIZE_MODE_STRETCH,
                           err) ||
        !crop_mask(&in->overlay, &in->mask, err))
        return false;
    mask_strengthen(&in->overlay);
    in->original = &in->original_made;
    return true;
}

static bool find_places(struct inpaint *in, const struct stage *s, struct error *err)
{
    const struct plan_stage *phase = &s->plan->phase[PLAN_DENOISE];

    in->places = stages_numbers((size_t)phase->latent_w * (size_t)phase->latent_h, err);
    return in->places && mask_to_latent(in->places, phase->latent_w, phase->latent_h, &in->mask,
                                        s->request->inpaint.round, err);
}

/* Surrounding colours under the mask; of a mask that is nothing but white there are none. */
static bool fill(struct inpaint *in, const struct gen_request *r, struct error *err)
{
    return r->inpaint.fill == MASK_BLEND_ORIGINAL ||
           mask_blend_fill_image(&in->made, &in->mask, err);
}

static bool prepare_masked(struct inpaint *in, const struct stage *s,
                           const struct pipeline_input *input, struct mask *mask, struct error *err)
{
    const struct gen_request *r = s->request;
    const bool full_res = gen_request_is_full_res(r);

    if (full_res && !mask_region_find(&in->region, mask, r->inpaint.padding)) {
        gen_warnings_add(&s->result->warnings,
                         "the mask is empty: the whole picture is worked on, without a mask");
        return resize_mode_image(&in->made, input->image, r->width, r->height, r->resize_mode, err);
    }
    return (full_res ? cut_region(in, r, input->image, mask, err)
                     : take_whole(in, r, input->image, mask, err)) &&
           fill(in, r, err) && find_places(in, s, err);
}

static bool prepare(struct inpaint *in, const struct stage *s, const struct pipeline_input *input,
                    struct error *err)
{
    const struct gen_request *r = s->request;
    struct mask mask = {0};
    int width, height;

    gen_request_encode_size(r, &width, &height);
    in->picture = &in->made;
    if (input->mask) {
        bool ok = take_mask(&mask, input->mask, input->image, &r->inpaint, err) &&
                  prepare_masked(in, s, input, &mask, err);
        mask_clear(&mask);
        return ok;
    }
    if (input->image->width != width || input->image->height != height)
        return resize_mode_image(&in->made, input->image, width, height, r->resize_mode, err);
    in->picture = input->image;
    return true;
}

bool inpaint_prepare(struct inpaint *out, const struct stage *s, const struct pipeline_input *input,
                     struct error *err)
{
    const double started = clock_seconds();

    *out = (struct inpaint){0};
    if (s->request->mode != GEN_IMG2IMG)
        return true;
    if (!prepare(out, s, input, err)) {
        inpaint_clear(out);
        return false;
    }
    s->result->seconds[PLAN_INPUT] = clock_seconds() - started;
    return true;
}

void inpaint_forget_picture(struct inpaint *in)
{
    image_clear(&in->made);
    mask_clear(&in->mask);
    in->picture = NULL;
}

static bool restore(const struct inpaint *in, struct image *result, struct error *err)
{
    struct image picture = {0};

    if (!in->pastes) {
        mask_blend_restore(result, in->original, &in->overlay);
        return true;
    }
    if (!image_init(&picture, in->original->width, in->original->height, err))
        return false;
    memcpy(picture.px, in->original->px, image_bytes(&picture));
    if (!mask_blend_paste(&picture, result, &in->overlay, in->region, err)) {
        image_clear(&picture);
        return false;
    }
    image_clear(result);
    *result = picture;
    return true;
}

bool inpaint_restore(const struct inpaint *in, struct gen_result *result, struct error *err)
{
    for (int i = 0; in->original && i < result->n_images; i++)
        if (!restore(in, &result->images[i], err))
            return false;
    return true;
}

static float shown(const struct inpaint *in, size_t at, bool round)
{
    const float v = in->mask.px ? (float)in->mask.px[at] / 255 : 1;
    return round ? rintf(v) : v;
}

void inpaint_show_mask(float *places, int width, int height, const struct inpaint *in, bool round)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int row = (int)((int64_t)y * in->mask.height / height);
            const int column = (int)((int64_t)x * in->mask.width / width);
            places[y * width + x] =
                shown(in, (size_t)row * (size_t)in->mask.width + (size_t)column, round);
        }
}

void inpaint_cover(float *pixels, size_t n_pixels, float gray, const struct inpaint *in, bool round)
{
    for (size_t i = 0; i < n_pixels * IMAGE_CHANNELS; i++)
        pixels[i] = gray + (pixels[i] - gray) * (1 - shown(in, i / IMAGE_CHANNELS, round));
}

void inpaint_clear(struct inpaint *in)
{
    image_clear(&in->made);
    image_clear(&in->original_made);
    mask_clear(&in->mask);
    mask_clear(&in->overlay);
    free(in->places);
    *in = (struct inpaint){0};
}
