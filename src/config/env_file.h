/* A file of variables, ".env": NAME=VALUE lines as shells and other programs read them.
 *
 *   # a comment
 *   export MODELS_DIR="/srv/models"   # another
 *   DIFFUSIONAPI_PORT=7866
 *
 * Values may stand in single quotes (taken as they are) or double quotes (\n, \t, \", \\ and \$
 * mean what they mean in shells).  Nothing is expanded. */
#ifndef CONFIG_ENV_FILE_H
#define CONFIG_ENV_FILE_H

#include "base/error.h"

/* Called for each variable, in the order of the file; false ends reading, with err filled. */
typedef bool (*env_file_fn)(void *ctx, const char *name, const char *value, struct error *err);

/* ERROR_INVALID begins with NAME:LINE. */
bool env_file_read_bytes(const char *name, const char *bytes, size_t n_bytes, env_file_fn fn,
                         void *ctx, struct error *err) MUST_CHECK;

/* Puts the file's variables into the environment where they are not there yet.  No file is fine.
 * To be called before threads start. */
bool env_file_apply(const char *path, struct error *err) MUST_CHECK;

#endif
