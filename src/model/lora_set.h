/* The LoRAs of one request, opened and held against a model.  A LoRA never fails a request: one
 * that is missing, broken or made for another model is left out, with a warning. */
#ifndef MODEL_LORA_SET_H
#define MODEL_LORA_SET_H

#include "model/lora_match.h"

enum { LORA_SET_MAX = 16, LORA_SET_WARNING_BYTES = 512, LORA_SET_PATH_BYTES = 4096 };

struct lora_set_wish {
    const char *name; /* of a file in the folder, without ".safetensors"; or a path */
    bool is_path;
    double text_scale, unet_scale; /* negative ones turn the effect around */
};

struct lora_set_entry {
    struct lora *lora; /* owned */
    struct lora_match match;
    double text_scale, unet_scale;
};

/* Where names of LoRAs lead.  Zero: nowhere. */
struct lora_set_place {
    const char *dir; /* files in this folder; see lora_set_path */
    /* Instead of dir, unless NULL: writes the file of a name.  ERROR_NOT_FOUND says that there is
     * none; other errors say what is wrong with it, or what the name could mean. */
    bool (*find)(void *ctx, char out[LORA_SET_PATH_BYTES], const char *name, struct error *err);
    void *ctx;
};

/* Large: not for the stack of a small thread. */
struct lora_set {
    struct lora_set_entry entries[LORA_SET_MAX];
    int n;
    char warnings[LORA_SET_MAX + 1][LORA_SET_WARNING_BYTES];
    int n_warnings; /* at most one for each wish, and one when there are too many */
};

/* Opens up to LORA_SET_MAX wishes, the first ones.  place may be NULL.  Only info's sizes are
 * looked at.  The caller ends *out with lora_set_clear. */
void lora_set_open(struct lora_set *out, const struct lora_set_wish *wishes, int n,
                   const struct lora_set_place *place, const struct model_info *info);

/* Accepts zeroes. */
void lora_set_clear(struct lora_set *s);

/* The file of a name in the folder.  A name is one file's: what holds a slash, a backslash or a
 * control character, or begins with a point, is refused. */
bool lora_set_path(char out[LORA_SET_PATH_BYTES], const char *dir, const char *name,
                   struct error *err) MUST_CHECK;

#endif
