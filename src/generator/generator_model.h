/* A model that was found, and what it likes to be asked.  How names are found: generator_find.h. */
#ifndef APP_GENERATOR_MODEL_H
#define APP_GENERATOR_MODEL_H

#include "config/settings.h"
#include "library/library.h"
#include "model/model.h"

enum { GENERATOR_MODEL_PATH_BYTES = 4096 };

struct generator_model {
    char path[GENERATOR_MODEL_PATH_BYTES];
    bool is_demo;
    char
        name[LIBRARY_NAME_BYTES]; /* in the library; of the demo model "demo"; "": a path outside */
    char hash[16];                /* the beginning of its SHA-256; "": not known */
};

/* The demo model's folder. */
bool generator_model_find_demo(char out[GENERATOR_MODEL_PATH_BYTES], struct error *err) MUST_CHECK;

/* Whether this is the demo model's folder. */
bool generator_model_is_demo(const char *path);

/* What lists call it and requests may call it; of a path outside of the library its own name. */
const char *generator_model_name(const struct generator_model *m, const struct model_info *info);

/* Width and height the model was trained at, pixels. */
int generator_model_native_side(const struct model_info *info);

double generator_model_cfg_scale(const struct generator_model *m);

#endif
