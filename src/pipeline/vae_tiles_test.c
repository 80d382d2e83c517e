#include "base/test.h"
#include "pipeline/vae_tiles.h"

#include <math.h>
#include <stdlib.h>

static void weights_add_up_to_one_at_every_place(void)
{
    static const struct {
        int length, tile, scale;
    } row[] = {{64, 64, 8},  {128, 64, 8}, {65, 64, 8}, {97, 32, 8},
               {200, 24, 1}, {9, 8, 8},    {5, 1, 3}};

    for (size_t r = 0; r < sizeof row / sizeof row[0]; r++) {
        struct vae_tiles_axis a;
        struct error err = {0};
        CHECK(vae_tiles_init(&a, row[r].length, row[r].tile, row[r].scale, &err));
        double *sum = calloc((size_t)(row[r].length * row[r].scale), sizeof *sum);
        for (int i = 0; i < a.n; i++)
            for (int k = 0; k < a.tile * a.scale; k++) {
                CHECK(a.weight[i * a.tile * a.scale + k] >= 0);
                sum[a.at[i] * a.scale + k] += a.weight[i * a.tile * a.scale + k];
            }
        for (int k = 0; k < row[r].length * row[r].scale; k++)
            CHECK(fabs(sum[k] - 1) < 1e-6);
        CHECK(a.at[0] == 0 && a.at[a.n - 1] == row[r].length - a.tile);
        free(sum);
        vae_tiles_clear(&a);
    }
}

static void neighbours_overlap_by_a_quarter_or_more(void)
{
    struct vae_tiles_axis a;
    struct error err = {0};
    CHECK(vae_tiles_init(&a, 300, 64, 8, &err));
    for (int i = 1; i < a.n; i++)
        CHECK(a.at[i - 1] + a.tile - a.at[i] >= 16);
    vae_tiles_clear(&a);
}

int main(void)
{
    weights_add_up_to_one_at_every_place();
    neighbours_overlap_by_a_quarter_or_more();
    return TEST_END();
}
