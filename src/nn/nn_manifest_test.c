/* Weight names and shapes of the published models, against lists made from the models themselves.
 */
#include "base/test.h"
#include "nn/clip.h"
#include "nn/nn_test_configs.h"
#include "nn/unet.h"
#include "nn/vae.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *refs_dir(void)
{
    const char *dir = getenv("DAPI_REFS");
    return dir && *dir ? dir : "../shared/refs";
}

static void build_unet(struct graph *g, const struct unet_config *c)
{
    struct unet_inputs in = {
        .sample = graph_input(g, (struct graph_shape){2, c->in_channels, 8, 8}),
        .timestep = graph_input(g, (struct graph_shape){2, c->channels[0], 1, 1}),
        .context = graph_input(g, (struct graph_shape){2, c->cross_attention_dim, 1, 77}),
    };
    if (c->addition_input_dim)
        in.added = graph_input(g, (struct graph_shape){2, c->addition_input_dim, 1, 1});
    CHECK(unet_build(g, c, &in) > 0);
}

static void build_vae(struct graph *g)
{
    CHECK(vae_build_decode(g, &nn_test_vae, graph_input(g, (struct graph_shape){1, 4, 8, 8})) > 0);
    CHECK(vae_build_encode(g, &nn_test_vae, graph_input(g, (struct graph_shape){1, 3, 64, 64})) >
          0);
}

static void build_clip(struct graph *g, const struct clip_config *c)
{
    CHECK(clip_build(g, c, graph_input(g, (struct graph_shape){1, 1, 1, 77}), 1, true) > 0);
}

/* [c, c, 1, 1] and [c, c] are the same weight. */
static bool same_dims(const struct graph_weight *w, const json_t *dims)
{
    for (size_t d = 0; d < 4; d++) {
        const long long have = (int)d < w->n_dims ? w->dims[d] : 1;
        const long long want =
            d < json_array_size(dims) ? json_integer_value(json_array_get(dims, d)) : 1;
        if (have != want)
            return false;
    }
    return true;
}

static void compare(struct graph *g, json_t *want, const char *what)
{
    CHECK(json_is_object(want));
    for (int i = 1; i <= graph_n_weights(g); i++) {
        const struct graph_weight *w = graph_weight_view(g, i);
        const json_t *dims = json_object_get(want, w->name);
        if (!dims || !same_dims(w, dims)) {
            fprintf(stderr, "%s: %s is %s\n", what, w->name, dims ? "of another shape" : "unknown");
            test_failures++;
        }
        json_object_del(want, w->name);
    }
    json_object_del(want, "text_projection.weight"); /* of the pooled output, not of the context */

    const char *name;
    json_t *dims;
    json_object_foreach(want, name, dims)
    {
        fprintf(stderr, "%s: %s is not used\n", what, name);
        test_failures++;
    }
    graph_free(g);
}

static void names_every_weight_of(const char *model, const struct unet_config *unet,
                                  const struct clip_config *clip, const struct clip_config *clip_2)
{
    char path[4096];
    json_error_t error;

    snprintf(path, sizeof path, "%s/manifests/%s.json", refs_dir(), model);
    json_t *parts = json_load_file(path, 0, &error);
    CHECK(parts != NULL);
    if (!parts)
        return;

    struct graph *g = graph_new();
    build_unet(g, unet);
    compare(g, json_object_get(parts, "unet"), "unet");
    g = graph_new();
    build_vae(g);
    compare(g, json_object_get(parts, "vae"), "vae");
    if (clip) {
        g = graph_new();
        build_clip(g, clip);
        compare(g, json_object_get(parts, "text_encoder"), "text_encoder");
    }
    if (clip_2) {
        g = graph_new();
        build_clip(g, clip_2);
        compare(g, json_object_get(parts, "text_encoder_2"), "text_encoder_2");
    }
    json_decref(parts);
}

int main(void)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/manifests", refs_dir());
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "skipped: no %s (set DAPI_REFS)\n", path);
        return 77;
    }
    names_every_weight_of("sd15", &nn_test_unet_sd15, &nn_test_clip_l, NULL);
    names_every_weight_of("sdxl", &nn_test_unet_sdxl, &nn_test_clip_l, &nn_test_clip_big_g);
    names_every_weight_of("refiner", &nn_test_unet_refiner, NULL, &nn_test_clip_big_g);
    return TEST_END();
}
