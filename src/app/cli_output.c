#include "app/cli_output.h"

#include "app/cli_help.h"
#include "image/image_format.h"
#include "image/infotext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

bool cli_output_init(struct cli_output *out, const char *name, int n_images, int jpeg_quality,
                     struct error *err)
{
    const struct image_format *format;

    *out = (struct cli_output){.n_images = n_images, .jpeg_quality = jpeg_quality};
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

/* The shortest decimal that reads back as the same number. */
static void write_number(char *out, size_t room, double value)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, room, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

/* A1111's keys.  It takes a picture without RNG for one of its GPU generator, ours by default is
 * the CPU's, so that one is always named. */
static bool write_infotext(struct buf *out, const struct cli_output *o, const struct gen_request *r,
                           int i, const struct model_info *model, struct error *err)
{
    enum schedule_kind kind = r->schedule->kind;
    char switch_at[40] = "", steps[16], cfg[40], seed[24], size[40], strength[40] = "",
         skip[16] = "", version[64];

    if (kind == SCHEDULE_AUTOMATIC)
        kind = r->sampler->schedule;
    snprintf(steps, sizeof steps, "%d", r->steps);
    write_number(cfg, sizeof cfg, r->cfg_scale);
    snprintf(seed, sizeof seed, "%" PRIu64, r->seed + (uint64_t)i);
    snprintf(size, sizeof size, "%dx%d", r->width, r->height);
    if (r->mode == GEN_IMG2IMG)
        write_number(strength, sizeof strength, r->denoising_strength);
    if (o->refiner)
        write_number(switch_at, sizeof switch_at, r->refiner_switch_at);
    if (r->clip_skip > 1)
        snprintf(skip, sizeof skip, "%d", r->clip_skip);
    snprintf(version, sizeof version, "diffusionapi %s", cli_help_version());

    const struct infotext_pair pairs[] = {
        {"Steps", steps},
        {"Sampler", r->sampler->name},
        {"Schedule type", schedule_rows[kind].name},
        {"CFG scale", cfg},
        {"Seed", seed},
        {"Size", size},
        {"Requested size", o->requested_size},
        {"Model", model->name},
        {"VAE", model->vae_name},
        {"Denoising strength", strength},
        {"Clip skip", skip},
        {"Refiner", o->refiner ? o->refiner : ""},
        {"Refiner switch at", switch_at},
        {"LoRAs", o->loras},
        {"RNG", r->rng == RNG_CPU ? "CPU" : ""},
        {"Version", version},
    };
    if (!infotext_write(out, r->prompt, r->negative_prompt, pairs, sizeof pairs / sizeof pairs[0],
                        err))
        return false;
    buf_add(out, "", 1);
    return !out->failed || error_set(err, ERROR_MEMORY, "no memory for the picture's text");
}

bool cli_output_save(const struct cli_output *o, int i, const struct image *image,
                     const struct gen_request *r, const struct model_info *model, struct error *err)
{
    char path[CLI_OUTPUT_PATH_BYTES];
    struct buf text;

    buf_init(&text, INFOTEXT_MAX_BYTES);
    bool ok =
        cli_output_path(path, o, i, err) && write_infotext(&text, o, r, i, model, err) &&
        image_format_save(
            path, image,
            &(struct image_write_options){.infotext = text.bytes, .quality = o->jpeg_quality}, err);
    buf_clear(&text);
    return ok;
}
