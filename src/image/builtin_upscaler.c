#include "image/builtin_upscaler.h"

#include <strings.h>

static const struct builtin_upscaler upscalers[] = {
    {"Lanczos", false, RESIZE_LANCZOS, false, 0},
    {"Latent", false, RESIZE_BICUBIC, true, LATENT_RESIZE_BILINEAR},
    {"Latent (antialiased)", false, RESIZE_LANCZOS, true, LATENT_RESIZE_BILINEAR_ANTIALIASED},
    {"Latent (bicubic)", false, RESIZE_BICUBIC, true, LATENT_RESIZE_BICUBIC},
    {"Latent (bicubic antialiased)", false, RESIZE_BICUBIC, true,
     LATENT_RESIZE_BICUBIC_ANTIALIASED},
    {"Latent (nearest)", false, RESIZE_NEAREST, true, LATENT_RESIZE_NEAREST},
    {"Latent (nearest-exact)", false, RESIZE_NEAREST, true, LATENT_RESIZE_NEAREST_EXACT},
    {"Nearest", false, RESIZE_NEAREST, false, 0},
    {"None", true, RESIZE_NEAREST, false, 0},
};

enum { N_UPSCALERS = sizeof upscalers / sizeof upscalers[0] };

const struct builtin_upscaler *builtin_upscaler_at(size_t i)
{
    return i < N_UPSCALERS ? &upscalers[i] : NULL;
}

const struct builtin_upscaler *builtin_upscaler_find(const char *name)
{
    for (size_t i = 0; i < N_UPSCALERS; i++)
        if (strcasecmp(name, upscalers[i].name) == 0)
            return &upscalers[i];
    return NULL;
}

bool builtin_upscaler_run(struct image *out, const struct image *in,
                          const struct builtin_upscaler *upscaler, int width, int height,
                          struct error *err)
{
    if (upscaler->keeps_size)
        return resize_image(out, in, in->width, in->height, upscaler->filter, err);
    return resize_image(out, in, width, height, upscaler->filter, err);
}
