#include "generator/generator_model.h"

#include "base/fs.h"
#include "base/program.h"
#include "model/model_native.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* Installed beside the program, or where it was built. */
bool generator_model_find_demo(char out[GENERATOR_MODEL_PATH_BYTES], struct error *err)
{
    char folder[PROGRAM_PATH_BYTES];

    if (program_folder(folder) &&
        fs_join(out, GENERATOR_MODEL_PATH_BYTES, folder, "../share/diffusionapi/demo-model", err) &&
        exists(out))
        return true;
    snprintf(out, GENERATOR_MODEL_PATH_BYTES, "%s", DIFFUSIONAPI_DEMO_MODEL);
    return exists(out) ||
           error_set(err, ERROR_NOT_FOUND,
                     "the demo model is neither beside the program nor at %.200s; name a model "
                     "with --model PATH",
                     DIFFUSIONAPI_DEMO_MODEL);
}

bool generator_model_is_demo(const char *path)
{
    char demo[GENERATOR_MODEL_PATH_BYTES];
    struct error ignored = {0};
    struct stat a, b;

    return generator_model_find_demo(demo, &ignored) && stat(demo, &a) == 0 &&
           stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

const char *generator_model_name(const struct generator_model *m, const struct model_info *info)
{
    return m->name[0] ? m->name : info->name;
}

int generator_model_native_side(const struct model_info *info)
{
    return model_native_side(info);
}

double generator_model_cfg_scale(const struct generator_model *m)
{
    return m->is_demo ? 5 : 7;
}
