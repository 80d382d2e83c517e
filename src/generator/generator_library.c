#include "generator/generator_library.h"

#include "base/fs.h"
#include "generator/generator_model.h"

#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool generator_library_open(struct library **out, const struct settings *s, struct error *err)
{
    char demo[GENERATOR_MODEL_PATH_BYTES], hashes[SETTINGS_TEXT_BYTES + 16];
    struct library_settings l = {.folders = {[LIBRARY_MODEL] = s->models_dir,
                                             [LIBRARY_LORA] = s->loras_dir,
                                             [LIBRARY_UPSCALER] = s->upscalers_dir,
                                             [LIBRARY_EMBEDDING] = s->embeddings_dir,
                                             [LIBRARY_VAE] = s->vae_dir},
                                 .default_model = s->model,
                                 .labels_file = s->labels_file,
                                 .hf_cache = s->hf_cache};
    struct error ignored;

    if (generator_model_find_demo(demo, &ignored))
        l.demo_model = demo;
    if (is_folder(s->data_dir)) {
        if (!fs_join(hashes, sizeof hashes, s->data_dir, "hashes.json", err))
            return false;
        l.hash_file = hashes;
    }
    return library_open(out, &l, err);
}
