#include "base/test.h"
#include "image/builtin_upscaler.h"
#include "image/latent_vectors.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { N_PLANES = 4, MOST = N_PLANES * 128 * 128 };

/* The latent that tests/image_vectors.py makes. */
static void make_noise(float *out, size_t n)
{
    uint32_t s = 12345;

    for (size_t i = 0; i < n; i++) {
        s = (s * 1103515245u + 12345u) & 0x7fffffffu;
        out[i] = (float)((int)(s >> 16 & 255) - 128) / 32;
    }
}

static void agrees_with_torch(void)
{
    float *in = malloc(MOST * sizeof *in), *out = malloc(MOST * sizeof *out);
    struct error err;

    CHECK(in && out);
    for (size_t i = 0; in && out && i < sizeof latent_vectors / sizeof latent_vectors[0]; i++) {
        const int in_width = latent_vectors[i].in_width, in_height = latent_vectors[i].in_height;
        const int width = latent_vectors[i].width, height = latent_vectors[i].height;
        const size_t n = N_PLANES * (size_t)width * (size_t)height;
        double sum = 0, weighted = 0;
        make_noise(in, N_PLANES * (size_t)in_width * (size_t)in_height);
        CHECK(latent_resize(out, width, height, in, in_width, in_height, N_PLANES,
                            latent_vectors[i].mode, &err));
        for (size_t k = 0; k < n; k++) {
            sum += (double)out[k];
            weighted += (double)out[k] * ((double)(k * 37 % 101) - 50) / 50;
        }
        /* Values are up to 5: the order of float sums moves each by some 1e-6. */
        const double room = 2e-6 * (double)n;
        CHECK(fabs(sum - latent_vectors[i].sum) < room);
        CHECK(fabs(weighted - latent_vectors[i].weighted) < room);
        for (int k = 0; k < 6; k++)
            CHECK(fabsf(out[k] - latent_vectors[i].first[k]) < 4e-6f);
    }
    free(out);
    free(in);
}

static void copies_when_the_size_stays(void)
{
    float in[2 * 30], out[2 * 30];
    struct error err;

    make_noise(in, 60);
    for (int mode = 0; mode < LATENT_RESIZE_COUNT; mode++) {
        CHECK(latent_resize(out, 6, 5, in, 6, 5, 2, (enum latent_resize_mode)mode, &err));
        for (int i = 0; i < 60; i++)
            CHECK(fabsf(in[i] - out[i]) < 1e-6f);
    }
}

static void refuses_impossible_sizes(void)
{
    static const int side[] = {0, -1, LATENT_RESIZE_MAX_SIDE + 1};
    float v = 0;
    struct error err;

    for (size_t i = 0; i < sizeof side / sizeof side[0]; i++) {
        CHECK(!latent_resize(&v, side[i], 1, &v, 1, 1, 1, LATENT_RESIZE_NEAREST, &err));
        CHECK(!latent_resize(&v, 1, 1, &v, 1, side[i], 1, LATENT_RESIZE_NEAREST, &err));
    }
}

static void names_every_upscaler_that_needs_no_model(void)
{
    const struct builtin_upscaler *u;
    struct image in, out;
    struct error err;

    CHECK(builtin_upscaler_find("latent (NEAREST-exact)")->latent == LATENT_RESIZE_NEAREST_EXACT);
    CHECK(builtin_upscaler_find("ESRGAN_4x") == NULL);
    CHECK(image_init(&in, 4, 6, &err));
    memset(in.px, 77, image_bytes(&in));
    for (size_t i = 0; (u = builtin_upscaler_at(i)) != NULL; i++) {
        CHECK(builtin_upscaler_find(u->name) == u);
        CHECK(u->is_latent == (strncmp(u->name, "Latent", 6) == 0));
        CHECK(builtin_upscaler_run(&out, &in, u, 9, 12, &err));
        CHECK(out.width == (u->keeps_size ? 4 : 9) && out.height == (u->keeps_size ? 6 : 12));
        CHECK(out.px[0] == 77);
        image_clear(&out);
    }
    image_clear(&in);
}

int main(void)
{
    agrees_with_torch();
    copies_when_the_size_stays();
    refuses_impossible_sizes();
    names_every_upscaler_that_needs_no_model();
    return TEST_END();
}
