#include "pipeline/vae_tiles.h"

#include "base/assert.h"

#include <stdlib.h>

static int step_of(int tile)
{
    int step = tile * (100 - VAE_TILES_OVERLAP_PERCENT) / 100;
    return step > 0 ? step : 1;
}

int vae_tiles_count(int length, int tile)
{
    return length <= tile ? 1 : (length - tile + step_of(tile) - 1) / step_of(tile) + 1;
}

/* A ramp towards each neighbour as wide as their overlap, flat where there is none. */
static float ramp(const struct vae_tiles_axis *a, int i, int place)
{
    int pixels = a->tile * a->scale;
    float w = 1;

    if (i > 0) {
        int overlap = (a->at[i - 1] + a->tile - a->at[i]) * a->scale;
        if (place < overlap)
            w *= ((float)place + 0.5f) / (float)overlap;
    }
    if (i + 1 < a->n) {
        int overlap = (a->at[i] + a->tile - a->at[i + 1]) * a->scale;
        if (place >= pixels - overlap)
            w *= ((float)(pixels - place) - 0.5f) / (float)overlap;
    }
    return w;
}

/* Divides by the sum over all tiles that see a place. */
static void normalise(struct vae_tiles_axis *a, float *sum)
{
    int pixels = a->tile * a->scale;

    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < pixels; k++)
            sum[a->at[i] * a->scale + k] += a->weight[i * pixels + k];
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < pixels; k++)
            a->weight[i * pixels + k] /= sum[a->at[i] * a->scale + k];
}

bool vae_tiles_init(struct vae_tiles_axis *out, int length, int tile, int scale, struct error *err)
{
    struct vae_tiles_axis a = {.n = vae_tiles_count(length, tile), .tile = tile, .scale = scale};
    size_t pixels = (size_t)tile * (size_t)scale;

    ASSERT(tile >= 1 && length >= tile && scale >= 1);
    a.at = calloc((size_t)a.n, sizeof *a.at);
    a.weight = calloc((size_t)a.n * pixels, sizeof *a.weight);
    float *sum = calloc((size_t)length * (size_t)scale, sizeof *sum);
    if (!a.at || !a.weight || !sum) {
        free(sum);
        vae_tiles_clear(&a);
        return error_set(err, ERROR_MEMORY, "no memory for %d tiles", a.n);
    }
    /* Spread evenly, so that all overlaps are about the same and the last tile ends at the end. */
    for (int i = 0; i < a.n; i++)
        a.at[i] = a.n == 1 ? 0 : (int)((long)(length - tile) * i / (a.n - 1));
    for (int i = 0; i < a.n; i++)
        for (size_t k = 0; k < pixels; k++)
            a.weight[(size_t)i * pixels + k] = ramp(&a, i, (int)k);
    normalise(&a, sum);
    free(sum);
    *out = a;
    return true;
}

void vae_tiles_clear(struct vae_tiles_axis *axis)
{
    free(axis->at);
    free(axis->weight);
    *axis = (struct vae_tiles_axis){0};
}
