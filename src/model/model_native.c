#include "model/model_native.h"

#include "base/fs.h"
#include "base/json.h"
#include "model/model_files.h"

int model_native_side(const struct model_info *info)
{
    char path[MODEL_FILES_PATH_BYTES];
    struct error ignored = {0};
    struct json config = {0};
    int sample_size = 0;

    if (!info->single_file &&
        fs_join(path, sizeof path, info->path, "unet/config.json", &ignored) &&
        json_read_file(&config, path, JSON_CONFIG_MAX_BYTES, &ignored) &&
        !json_maybe_int(&config, "sample_size", 8, 256, 0, &sample_size, &ignored))
        sample_size = 0; /* a pair of numbers, or nonsense: the family's size will do */
    json_clear(&config);
    if (sample_size > 0) {
        int side = sample_size << (info->vae.n_levels - 1);
        if (side >= 64 && side <= 2048 && side % 8 == 0)
            return side;
    }
    return info->family == MODEL_SD1 ? 512 : 1024;
}
