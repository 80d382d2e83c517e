/* Opens the reference models, as folders and as single files, and compares the two. */
#include "base/test.h"
#include "model/model.h"
#include "model/model_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *refs(void)
{
    const char *dir = getenv("DAPI_REFS");
    return dir ? dir : "../shared/refs";
}

static struct model *open_ref(const char *name)
{
    char path[512];
    struct model *m = NULL;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", refs(), name);
    if (!model_open(&m, path, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(m != NULL);
    return m;
}

static bool same_values(const struct model_tensor *a, const struct model_tensor *b)
{
    if (a->n_bytes != b->n_bytes || a->dtype != b->dtype)
        return false;
    if (!b->transposed)
        return memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
    size_t size = dtype_bytes(a->dtype);
    for (int64_t i = 0; i < a->dims[0]; i++)
        for (int64_t k = 0; k < a->dims[1]; k++)
            if (memcmp(a->bytes + (size_t)(i * a->dims[1] + k) * size,
                       b->bytes + (size_t)(k * a->dims[0] + i) * size, size) != 0)
                return false;
    return true;
}

static void finds_the_same_tensors_in_folder_and_file(const struct model *folder,
                                                      const struct model *file)
{
    CHECK(folder->index.n == file->index.n);
    for (size_t i = 0; i < folder->index.n; i++) {
        const struct model_index_entry *e = &folder->index.entries[i];
        struct model_tensor t;
        bool found = model_find(file, e->part, e->name, &t);
        if (!found || !same_values(&e->tensor, &t))
            fprintf(stderr, "%s %s: ", model_part_name(e->part), e->name);
        CHECK(found);
        CHECK(found && same_values(&e->tensor, &t));
    }
}

/* Padding ids, projection_dim and steps_offset are no matter of shapes. */
static void tells_the_same_sizes_from_shapes(const struct model_info *folder,
                                             const struct model_info *file)
{
    CHECK(folder->family == file->family);
    CHECK(memcmp(folder->has_part, file->has_part, sizeof folder->has_part) == 0);
    for (int i = 0; i < 2; i++) {
        struct clip_config a = folder->clip[i], b = file->clip[i];
        a.pad_id = b.pad_id = 0;
        CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    CHECK(memcmp(&folder->unet, &file->unet, sizeof folder->unet) == 0);
    CHECK(memcmp(&folder->vae, &file->vae, sizeof folder->vae) == 0);
    CHECK(folder->schedule.prediction == file->schedule.prediction);
}

int main(void)
{
    static const struct {
        const char *name;
        enum model_family family;
    } rows[] = {{"tiny-sd15", MODEL_SD1},
                {"tiny-sdxl", MODEL_SDXL},
                {"tiny-sdxl-refiner", MODEL_SDXL_REFINER}};
    char path[512];

    snprintf(path, sizeof path, "%s/tiny-sd15/model_index.json", refs());
    if (!model_files_is_file(path)) {
        fprintf(stderr, "skipped: no reference models at %s\n", refs());
        return 77;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(path, sizeof path, "%s.safetensors", rows[i].name);
        struct model *folder = open_ref(rows[i].name), *file = open_ref(path);
        if (folder && file) {
            CHECK(model_view(folder)->family == rows[i].family);
            CHECK(strcmp(model_view(file)->name, rows[i].name) == 0);
            finds_the_same_tensors_in_folder_and_file(folder, file);
            tells_the_same_sizes_from_shapes(model_view(folder), model_view(file));
        }
        model_close(folder);
        model_close(file);
    }
    return TEST_END();
}
