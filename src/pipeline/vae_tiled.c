#include "pipeline/vae_tiled.h"

#include "pipeline/vae_tiles.h"

#include <stdlib.h>
#include <string.h>

struct tiled {
    const struct stage *stage;
    const struct plan_stage *plan;
    struct network *network;
    const float *from;
    float *to;
    struct vae_side in, out;
    struct vae_tiles_axis x, y; /* weights at the scale of out */
    float *tile_in, *tile_out;
};

int vae_tiled_calls(const struct plan_stage *p)
{
    return vae_tiles_count(p->latent_w, p->tile_w) * vae_tiles_count(p->latent_h, p->tile_h);
}

static void cut(const struct tiled *t, int ty, int tx)
{
    const struct plan_stage *p = t->plan;
    size_t c = (size_t)t->in.c, width = (size_t)(p->latent_w * t->in.scale);
    size_t tile_width = (size_t)(p->tile_w * t->in.scale);

    for (size_t row = 0; row < (size_t)(p->tile_h * t->in.scale); row++) {
        size_t y = (size_t)(t->y.at[ty] * t->in.scale) + row;
        size_t x = (size_t)(t->x.at[tx] * t->in.scale);
        memcpy(t->tile_in + row * tile_width * c, t->from + (y * width + x) * c,
               tile_width * c * sizeof(float));
    }
}

static void blend(const struct tiled *t, int ty, int tx)
{
    const struct plan_stage *p = t->plan;
    size_t c = (size_t)t->out.c, width = (size_t)(p->latent_w * t->out.scale);
    size_t tile_width = (size_t)(p->tile_w * t->out.scale);
    size_t tile_height = (size_t)(p->tile_h * t->out.scale);

    for (size_t row = 0; row < tile_height; row++) {
        size_t y = (size_t)(t->y.at[ty] * t->out.scale) + row;
        float wy = t->y.weight[(size_t)ty * tile_height + row];
        float *to = t->to + (y * width + (size_t)(t->x.at[tx] * t->out.scale)) * c;
        const float *from = t->tile_out + row * tile_width * c;
        const float *wx = t->x.weight + (size_t)tx * tile_width;
        for (size_t i = 0; i < tile_width * c; i++)
            to[i] += wy * wx[i / c] * from[i];
    }
}

static bool run_tiles(struct tiled *t, enum plan_phase phase, int first_call, int calls,
                      struct error *err)
{
    for (int ty = 0; ty < t->y.n; ty++)
        for (int tx = 0; tx < t->x.n; tx++) {
            cut(t, ty, tx);
            exec_write(t->network->exec, t->network->in, t->tile_in, BACKEND_ROWS);
            if (!stages_call(t->stage, t->network, phase, first_call + ty * t->x.n + tx, calls,
                             err))
                return false;
            exec_read(t->network->exec, t->network->out, t->tile_out, BACKEND_ROWS);
            blend(t, ty, tx);
        }
    return true;
}

bool vae_tiled_run(const struct stage *s, struct network *n, enum plan_phase phase, int first_call,
                   int calls, const float *from, struct vae_side in, float *to, struct vae_side out,
                   struct error *err)
{
    const struct plan_stage *p = &s->plan->phase[phase];
    size_t places = (size_t)p->latent_w * (size_t)p->latent_h;
    size_t tile = (size_t)p->tile_w * (size_t)p->tile_h;
    size_t in_each = (size_t)(in.c * in.scale * in.scale);
    size_t out_each = (size_t)(out.c * out.scale * out.scale);

    if (tile == places) {
        exec_write(n->exec, n->in, from, BACKEND_ROWS);
        if (!stages_call(s, n, phase, first_call, calls, err))
            return false;
        exec_read(n->exec, n->out, to, BACKEND_ROWS);
        return true;
    }
    struct tiled t = {
        .stage = s, .plan = p, .network = n, .from = from, .to = to, .in = in, .out = out};
    t.tile_in = stages_numbers(tile * in_each, err);
    t.tile_out = stages_numbers(tile * out_each, err);
    memset(to, 0, places * out_each * sizeof *to);
    bool ok = t.tile_in && t.tile_out &&
              vae_tiles_init(&t.x, p->latent_w, p->tile_w, out.scale, err) &&
              vae_tiles_init(&t.y, p->latent_h, p->tile_h, out.scale, err) &&
              run_tiles(&t, phase, first_call, calls, err);
    vae_tiles_clear(&t.x);
    vae_tiles_clear(&t.y);
    free(t.tile_in);
    free(t.tile_out);
    return ok;
}
