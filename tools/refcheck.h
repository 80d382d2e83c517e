/* Holds every stage against a folder of reference vectors.
 *
 * A group is a function that prints rows through refcheck_row and its like.  Adding a group is a
 * line in refcheck.c's table.  Widths, prompts and numbers of rows come from the folder. */
#ifndef TOOLS_REFCHECK_H
#define TOOLS_REFCHECK_H

#include "base/error.h"
#include "engine/backend.h"
#include "model/model.h"
#include "model/safetensors.h"

#include <jansson.h>

enum { REFCHECK_MAX_PATH = 4096, REFCHECK_MAX_FILES = 256 };

struct refcheck {
    const char *dir;
    struct backend *backend;
    bool quiet; /* only what failed */
    int passed, failed, skipped;
    char seen[REFCHECK_MAX_FILES][64]; /* files under expect/ that some group has read */
    int n_seen;
};

/* refcheck_report.c: one line each. */
/* PASS when error is a number not above limit. */
void refcheck_row(struct refcheck *r, const char *name, double error, double limit);
void refcheck_fail(struct refcheck *r, const char *name, const char *why);
void refcheck_skip(struct refcheck *r, const char *name, const char *why);

/* The bounds of the references' README. */
#define REFCHECK_STAGE 2e-3  /* of the largest number of a stage's output */
#define REFCHECK_SINGLE 1e-4 /* single operations and samplers */

/* Largest difference over the largest wanted number; infinite for anything that is not a number. */
double refcheck_error(const float *have, const float *want, size_t n);

/* refcheck_files.c */
/* expect/NAME; remembered as seen. */
void refcheck_expect_path(struct refcheck *r, char path[REFCHECK_MAX_PATH], const char *name);
bool refcheck_seen(const struct refcheck *r, const char *name);
/* NULL after a FAIL row when the file cannot be read; with SKIP when it does not exist. */
json_t *refcheck_json(struct refcheck *r, const char *path, const char *name);
struct safetensors *refcheck_tensors(struct refcheck *r, const char *name);

/* The model's folder DIR/...NAME, for example tiny-sd15 for "sd15", or its single file.  Skips when
 * there is none, fails when it cannot be opened; NULL then. */
struct model *refcheck_model(struct refcheck *r, const char *name, bool single_file);

/* Numbers of "ROW.NAME" as float32; x is NULL when the file has no such tensor. */
struct refcheck_tensor {
    float *x; /* owned */
    size_t count;
    int n_dims;
    int64_t dims[TENSOR_INFO_MAX_DIMS];
};
struct refcheck_tensor refcheck_tensor(const struct safetensors *file, int row, const char *name);
struct refcheck_tensor refcheck_tensor_named(const struct safetensors *file, const char *name);

/* The texts of the file's "__metadata__", an object; the caller's.  NULL when it has none. */
json_t *refcheck_metadata(const struct safetensors *file);

/* Whether the model's scheduler_config.json spaces timesteps "leading"; otherwise "linspace". */
bool refcheck_leading(const struct model *m);

/* Groups. */
void refcheck_text(struct refcheck *r);     /* token ids */
void refcheck_sampler(struct refcheck *r);  /* random numbers, schedules, samplers */
void refcheck_stage(struct refcheck *r);    /* text encoder, UNet, VAE */
void refcheck_lora(struct refcheck *r);     /* with a LoRA */
void refcheck_pipeline(struct refcheck *r); /* latents of whole runs */
void refcheck_sdxl(struct refcheck *r);     /* text encoders and latents of SDXL */
void refcheck_upscale(struct refcheck *r);  /* ESRGAN upscalers */
void refcheck_images(struct refcheck *r);   /* the program's pictures */

#endif
