/* Whether a LoRA fits a model, and which of its deltas belong to which weights: decided by names
 * and shapes alone. */
#ifndef MODEL_LORA_MATCH_H
#define MODEL_LORA_MATCH_H

#include "model/lora.h"

struct lora_target {
    enum model_part part;
    const char *weight; /* diffusers name within the part; borrowed from the match */
    const struct lora_module *module;
    struct lora_shape shape;
};

struct lora_match {
    struct lora_target *targets; /* owned; by part and name */
    size_t n;
    char *names;      /* owned; what weight points into */
    size_t n_modules; /* of the LoRA */
    size_t n_unmatched, n_mismatched;
    bool compatible; /* nothing mismatches and at least half of the modules are the model's */
    /* The first module that does not fit, in words; empty when all do. */
    char why[400];
};

/* Compares a LoRA with the networks that info describes.  On true the caller owns *out, whatever
 * the answer; the LoRA is borrowed and must outlive it. */
bool lora_match_make(struct lora_match *out, const struct lora *l, const struct model_info *info,
                     struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void lora_match_clear(struct lora_match *m);

/* NULL when no delta belongs to the weight. */
const struct lora_target *lora_match_find(const struct lora_match *m, enum model_part part,
                                          const char *weight);

#endif
