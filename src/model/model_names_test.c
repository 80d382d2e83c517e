/* The full-size models' names and shapes against the reference manifests, and the way of each name
 * into its single-file spelling and back. */
#include "base/json.h"
#include "base/test.h"
#include "model/model_files.h"
#include "model/model_names.h"
#include "model/model_presets.h"
#include "model/tensor_names.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"sd15", "sdxl", "refiner"};

struct walk {
    const struct model_info *info;
    enum model_part part;
    const json_t *manifest; /* name to shape */
    struct tensor_names_layout layout;
    size_t n, wrong;
};

static bool compare_with_manifest(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct walk *w = ctx;
    const json_t *shape = json_object_get(w->manifest, name);
    bool same = json_array_size(shape) == (size_t)n_dims;

    for (int i = 0; same && i < n_dims; i++)
        same = json_integer_value(json_array_get(shape, (size_t)i)) == dims[i];
    if (!same && w->wrong++ < 10)
        fprintf(stderr, "%s %s differs\n", model_part_name(w->part), name);
    w->n++;
    return true;
}

/* OpenCLIP's fused projections have no spelling of their own. */
static bool is_fused(const struct walk *w, const char *name)
{
    return w->part == MODEL_TEXT_ENCODER_2 &&
           (strstr(name, ".q_proj.") || strstr(name, ".k_proj.") || strstr(name, ".v_proj."));
}

static bool measure(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct walk *w = ctx;
    char spelled[TENSOR_NAMES_BYTES];
    (void)dims;
    (void)n_dims;
    if (tensor_names_spell(w->info, w->part, name, spelled))
        tensor_names_measure(&w->layout, spelled);
    return true;
}

static bool go_there_and_back(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct walk *w = ctx;
    char spelled[TENSOR_NAMES_BYTES];
    struct tensor_names_target back[TENSOR_NAMES_MAX_TARGETS];
    (void)dims;
    (void)n_dims;

    if (is_fused(w, name))
        return true;
    bool same = tensor_names_spell(w->info, w->part, name, spelled) &&
                tensor_names_map(&w->layout, spelled, back) == 1 && back[0].part == w->part &&
                strcmp(back[0].name, name) == 0;
    if (!same && w->wrong++ < 10)
        fprintf(stderr, "%s %s is spelled %s\n", model_part_name(w->part), name, spelled);
    return true;
}

static void spells_every_name_there_and_back(void)
{
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct model_info info;
        CHECK(model_presets_find(&info, kinds[k]));
        struct walk w = {.info = &info};
        for (w.part = 0; w.part < MODEL_PARTS; w.part++)
            CHECK(!info.has_part[w.part] || model_names_part(&info, w.part, measure, &w));
        for (w.part = 0; w.part < MODEL_PARTS; w.part++)
            CHECK(!info.has_part[w.part] || model_names_part(&info, w.part, go_there_and_back, &w));
        CHECK(w.wrong == 0);
    }
}

static bool lists_what_the_manifests_list(const char *refs)
{
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        char path[512];
        struct json j;
        struct error err = {0};
        struct model_info info;
        snprintf(path, sizeof path, "%s/manifests/%s.json", refs, kinds[k]);
        if (!model_files_is_file(path))
            return false;
        CHECK(json_read_file(&j, path, JSON_VOCAB_MAX_BYTES, &err));
        CHECK(model_presets_find(&info, kinds[k]));
        for (enum model_part part = 0; part < MODEL_PARTS; part++) {
            struct walk w = {.part = part,
                             .manifest = json_object_get(j.root, model_part_name(part))};
            CHECK(info.has_part[part] == (w.manifest != NULL));
            if (!info.has_part[part])
                continue;
            CHECK(model_names_part(&info, part, compare_with_manifest, &w));
            CHECK(w.wrong == 0 && w.n == json_object_size(w.manifest));
        }
        json_clear(&j);
    }
    return true;
}

int main(void)
{
    const char *refs = getenv("DAPI_REFS");
    spells_every_name_there_and_back();
    if (!lists_what_the_manifests_list(refs ? refs : "../shared/refs") && !test_failures) {
        fprintf(stderr, "skipped in part: no reference manifests\n");
        return 77;
    }
    return TEST_END();
}
