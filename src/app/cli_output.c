#include "app/cli_output.h"

#include "image/image_format.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char own_name[] = "picture.png";

bool cli_output_path(char path[CLI_OUTPUT_PATH_BYTES], const struct cli_output *o, int i,
                     struct error *err)
{
    const char *slash = strrchr(o->name, '/');
    const char *dot = strrchr(slash ? slash : o->name, '.');
    size_t stem = dot ? (size_t)(dot - o->name) : strlen(o->name);
    int n;

    if (o->n_images == 1 && o->first == 0)
        n = snprintf(path, CLI_OUTPUT_PATH_BYTES, "%s", o->name);
    else
        n = snprintf(path, CLI_OUTPUT_PATH_BYTES, "%.*s-%d%s", (int)stem, o->name,
                     (o->first ? o->first : 1) + i, o->name + stem);
    return (n >= 0 && n < CLI_OUTPUT_PATH_BYTES) ||
           error_set(err, ERROR_INVALID, "--output is longer than %d bytes",
                     CLI_OUTPUT_PATH_BYTES - 16);
}

/* The folder must be there and take new files; the name must not be a folder's. */
static bool check_target(const char *path, struct error *err)
{
    char folder[CLI_OUTPUT_PATH_BYTES];
    struct stat st;

    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0; /* "/a.png" lies in "/" */
    else
        snprintf(folder, sizeof folder, ".");

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return error_set(err, ERROR_INVALID, "--output %.300s is there and is no file", path);
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
        return error_set(err, ERROR_NOT_FOUND, "--output: there is no folder %.300s", folder);
    if (access(folder, W_OK | X_OK) != 0) {
        error_set_errno(err, errno, "cannot write there");
        err->code = ERROR_INVALID;
        return error_prefix(err, "--output: %.300s", folder);
    }
    return true;
}

/* The first number from which n_images names are free. */
static bool find_free_names(struct cli_output *o, struct error *err)
{
    int free_names = 0;

    for (int number = 1; number < INT32_MAX - o->n_images; number++) {
        char path[64];
        struct stat st;
        snprintf(path, sizeof path, "picture-%d.png", number);
        free_names = lstat(path, &st) == 0 ? 0 : free_names + 1;
        if (free_names == o->n_images) {
            o->first = number - o->n_images + 1;
            return true;
        }
    }
    return error_set(err, ERROR_LIMIT, "there are too many pictures here; name one with --output");
}

bool cli_output_init(struct cli_output *out, const char *name, int n_images, struct error *err)
{
    const struct image_format *format;

    *out = (struct cli_output){.n_images = n_images};
    int n = snprintf(out->name, sizeof out->name, "%s", name ? name : own_name);
    if (n < 0 || (size_t)n + 16 >= sizeof out->name)
        return error_set(err, ERROR_INVALID, "--output is longer than %zu bytes",
                         sizeof out->name - 16);
    if (!image_format_find_path(&format, out->name, err))
        return error_prefix(err, "--output");
    if (!name && !find_free_names(out, err))
        return false;
    for (int i = 0; i < n_images; i++) {
        char path[CLI_OUTPUT_PATH_BYTES];
        if (!cli_output_path(path, out, i, err) || !check_target(path, err))
            return false;
    }
    return true;
}
