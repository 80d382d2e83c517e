/* A model on disk: a diffusers folder or a single-file checkpoint, opened, checked, never copied.
 *
 * Names are those of the diffusers layout whatever the file spells: single files with LDM names
 * answer to the same names.  Every number of every header is checked before it is believed. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/dtype.h"
#include "base/error.h"
#include "model/model_config.h"

#include <stdint.h>

enum { MODEL_MAX_DIMS = 4 };

enum model_part { MODEL_TEXT_ENCODER, MODEL_TEXT_ENCODER_2, MODEL_UNET, MODEL_VAE, MODEL_PARTS };

struct model; /* mapped files and their index; one owner, read by many threads */

/* One tensor as it lies in its file.  Everything is borrowed from the model. */
struct model_tensor {
    const char *name; /* as the file spells it */
    const char *file;
    const unsigned char *bytes; /* in the mapping; aligned to no more than a byte */
    uint64_t n_bytes;
    enum dtype dtype;
    int n_dims;
    int64_t dims[MODEL_MAX_DIMS];
    bool transposed; /* OpenCLIP's text_projection: [width, projection], the transpose of diffusers'
                      */
};

struct model_info {
    const char *path;
    const char *name; /* last part of the path, without ".safetensors" and the like */
    enum model_family family;
    bool single_file;
    bool has_part[MODEL_PARTS];
    struct clip_config clip[2]; /* text_encoder, text_encoder_2 */
    struct unet_config unet;
    struct vae_config vae;
    const char *vae_name; /* of the file that replaced the model's own VAE; NULL: none did */
    struct schedule_config schedule;
    const char *tokenizer_dir[2]; /* folders with vocab.json and merges.txt; NULL: none found */
};

/* Opens path, reads headers and configs, and checks that every tensor lies in its file.  No weight
 * is read.  On true the caller owns *out. */
bool model_open(struct model **out, const char *path, struct error *err) MUST_CHECK;

/* Accepts NULL.  Everything borrowed from the model is dead afterwards. */
void model_close(struct model *m);

const struct model_info *model_view(const struct model *m);

/* Finds a tensor by its diffusers name, for example "down_blocks.0.resnets.0.conv1.weight" of
 * MODEL_UNET.  Returns false when the part has no such tensor. */
bool model_find(const struct model *m, enum model_part part, const char *name,
                struct model_tensor *out);

/* "text_encoder", "text_encoder_2", "unet", "vae". */
const char *model_part_name(enum model_part part);

/* "sd1", "sdxl", "sdxl-refiner". */
const char *model_family_name(enum model_family family);

#endif
