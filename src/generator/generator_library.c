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
    char demo[GENERATOR_MODEL_PATH_BYTES], cache[SETTINGS_TEXT_BYTES + 16],
        hashes[SETTINGS_TEXT_BYTES + 32];
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
    /* A folder of its own, which the worker may read without the rest of data_dir. */
    if (is_folder(s->data_dir)) {
        if (!fs_join(cache, sizeof cache, s->data_dir, "cache", err) ||
            !fs_join(hashes, sizeof hashes, cache, "hashes.json", err))
            return false;
        if (is_folder(cache) || fs_make_folders(cache, &ignored))
            l.hash_file = hashes;
    }
    return library_open(out, &l, err);
}
