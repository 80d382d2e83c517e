/* A LoRA file on disk: low-rank deltas of a model's weights (Hu et al. 2021), opened and checked,
 * never copied.
 *
 * Knows what the file holds, not which model it is for; that is lora_match.  The file is not
 * trusted: shapes and types are checked before anything else believes them. */
#ifndef MODEL_LORA_H
#define MODEL_LORA_H

#include "model/lora_names.h"
#include "model/tensor_file.h"

enum {
    LORA_MAX_TENSORS = 1 << 16,
    LORA_MAX_RANK = 2048, /* of one module */
};

enum lora_kind {
    LORA_KIND_LORA,
    LORA_KIND_LOCON, /* has 3x3 convolutions */
    LORA_KIND_DORA,  /* from here on: not applied */
    LORA_KIND_LOHA,
    LORA_KIND_LOKR,
    LORA_KIND_TUCKER,
    LORA_KIND_OTHER, /* has none of the tensors of an adapter */
    LORA_KINDS
};

/* One module's delta: alpha / rank * up * down. */
struct lora_module {
    struct lora_names_name name; /* role: that of its first tensor */
    const char *key;             /* a tensor of it, whose first name.key_bytes name the module */
    const struct tensor_info *up, *down, *alpha; /* NULL where the file has none */
};

struct lora; /* one owner, read by many threads */

/* Maps path and checks its header.  On true the caller owns *out.  A file of a kind that is not
 * applied opens too. */
bool lora_open(struct lora **out, const char *path, struct error *err) MUST_CHECK;

/* The same for bytes in memory, which are borrowed. */
bool lora_from_bytes(struct lora **out, const char *name, const unsigned char *bytes,
                     size_t n_bytes, struct error *err) MUST_CHECK;

/* Accepts NULL.  Everything borrowed from the file is dead afterwards. */
void lora_close(struct lora *l);

/* The file's path, and its last part without its ending. */
const char *lora_path(const struct lora *l);
const char *lora_name(const struct lora *l);

enum lora_kind lora_kind(const struct lora *l);
const char *lora_kind_name(enum lora_kind kind); /* "LoRA", "LoCon", "DoRA", ... */
static inline bool lora_kind_is_applied(enum lora_kind kind)
{
    return kind <= LORA_KIND_LOCON;
}

size_t lora_count(const struct lora *l);
const struct lora_module *lora_at(const struct lora *l, size_t i); /* by part and name */

/* Smallest and largest rank; 0 where the file has no low-rank module. */
void lora_ranks(const struct lora *l, int *least, int *most);

/* What the file seems made for, from its keys and shapes: "SD 1.x", "SD 2.x", "SDXL", "SDXL
 * refiner", "another kind of model" or "unknown". */
const char *lora_origin(const struct lora *l);

/* Checks one module: both factors there, float types, shapes that meet.  rank, numbers in a row of
 * `down` and the factor alpha / rank; text says what is wrong otherwise. */
struct lora_shape {
    int rank;
    int64_t rows, columns; /* of the weight it belongs to */
    int kernel;            /* 1 or 3 */
    float factor;
};
bool lora_shape_of(const struct lora_module *m, struct lora_shape *out,
                   struct error *err) MUST_CHECK;

#endif
