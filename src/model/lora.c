#include "model/lora.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct lora {
    struct tensor_file *file;
    char *name;
    struct lora_module *modules; /* by part and name */
    size_t n;
    int seen[LORA_ROLES]; /* tensors of each role */
    enum lora_kind kind;
};

const char *lora_kind_name(enum lora_kind kind)
{
    static const char *const names[LORA_KINDS] = {"LoRA",
                                                  "LoCon",
                                                  "DoRA",
                                                  "LoHa",
                                                  "LoKr",
                                                  "LoCon with a middle factor (Tucker)",
                                                  "no adapter that this program knows"};
    return names[kind];
}

static int compare_names(const struct lora_names_name *a, const struct lora_names_name *b)
{
    const int x = a->part_known ? (int)a->part : -1, y = b->part_known ? (int)b->part : -1;
    return x != y ? (x > y) - (x < y) : strcmp(a->module, b->module);
}

static int by_name(const void *a, const void *b)
{
    return compare_names(&((const struct lora_module *)a)->name,
                         &((const struct lora_module *)b)->name);
}

/* One entry per tensor, then those of one module become one. */
static bool join(struct lora *l, struct error *err)
{
    size_t n = 0;

    qsort(l->modules, l->n, sizeof *l->modules, by_name);
    for (size_t i = 0; i < l->n; i++) {
        const struct lora_module *from = &l->modules[i];
        if (n == 0 || compare_names(&l->modules[n - 1].name, &from->name) != 0) {
            l->modules[n++] = *from;
            continue;
        }
        struct lora_module *to = &l->modules[n - 1];
        if ((to->up && from->up) || (to->down && from->down) || (to->alpha && from->alpha))
            return error_set(err, ERROR_CORRUPT, "%s: '%.200s' has a factor twice", lora_path(l),
                             to->key);
        to->up = from->up ? from->up : to->up;
        to->down = from->down ? from->down : to->down;
        to->alpha = from->alpha ? from->alpha : to->alpha;
    }
    l->n = n;
    return true;
}

static enum lora_kind tell_kind(const struct lora *l)
{
    if (l->seen[LORA_DORA])
        return LORA_KIND_DORA;
    if (l->seen[LORA_LOHA])
        return LORA_KIND_LOHA;
    if (l->seen[LORA_LOKR])
        return LORA_KIND_LOKR;
    if (l->seen[LORA_MID])
        return LORA_KIND_TUCKER;
    if (!l->seen[LORA_DOWN] || !l->seen[LORA_UP])
        return LORA_KIND_OTHER;
    for (size_t i = 0; i < l->n; i++) {
        const struct tensor_info *down = l->modules[i].down;
        if (down && down->n_dims == 4 && down->dims[2] > 1)
            return LORA_KIND_LOCON;
    }
    return LORA_KIND_LORA;
}

static bool index_file(struct lora *l, struct error *err)
{
    const size_t count = tensor_file_count(l->file);

    if (count > LORA_MAX_TENSORS)
        return error_set(err, ERROR_LIMIT, "%s: a LoRA of %zu tensors; %d is the most",
                         lora_path(l), count, LORA_MAX_TENSORS);
    l->modules = calloc(count ? count : 1, sizeof *l->modules);
    if (!l->modules)
        return error_set(err, ERROR_MEMORY, "%s: no memory for a list of %zu tensors", lora_path(l),
                         count);
    for (size_t i = 0; i < count; i++) {
        const struct tensor_info *t = tensor_file_at(l->file, i);
        struct lora_module m = {.key = t->name};
        if (!lora_names_parse(t->name, &m.name))
            continue;
        l->seen[m.name.role]++;
        m.up = m.name.role == LORA_UP ? t : NULL;
        m.down = m.name.role == LORA_DOWN ? t : NULL;
        m.alpha = m.name.role == LORA_ALPHA ? t : NULL;
        if (m.name.role <= LORA_ALPHA)
            l->modules[l->n++] = m;
    }
    if (!join(l, err))
        return false;
    l->kind = tell_kind(l);
    return true;
}

static char *name_of(const char *path)
{
    const char *last = strrchr(path, '/');
    const char *name = last ? last + 1 : path;
    return strndup(name, tensor_file_stem(name));
}

/* Takes the file. */
static bool make(struct lora **out, struct tensor_file *file, struct error *err)
{
    struct lora *l = calloc(1, sizeof *l);

    if (!l) {
        tensor_file_close(file);
        return error_set(err, ERROR_MEMORY, "no memory for a LoRA");
    }
    l->file = file;
    l->name = name_of(tensor_file_path(file));
    const bool ok =
        l->name ? index_file(l, err) : error_set(err, ERROR_MEMORY, "no memory for a LoRA's name");
    if (ok)
        *out = l;
    else
        lora_close(l);
    return ok;
}

bool lora_open(struct lora **out, const char *path, struct error *err)
{
    struct tensor_file *file;
    return tensor_file_open(&file, path, err) && make(out, file, err);
}

bool lora_from_bytes(struct lora **out, const char *name, const unsigned char *bytes,
                     size_t n_bytes, struct error *err)
{
    struct tensor_file *file;
    return tensor_file_from_bytes(&file, name, bytes, n_bytes, err) && make(out, file, err);
}

void lora_close(struct lora *l)
{
    if (!l)
        return;
    tensor_file_close(l->file);
    free(l->modules);
    free(l->name);
    free(l);
}

const char *lora_path(const struct lora *l)
{
    return tensor_file_path(l->file);
}

const char *lora_name(const struct lora *l)
{
    return l->name;
}

enum lora_kind lora_kind(const struct lora *l)
{
    return l->kind;
}

size_t lora_count(const struct lora *l)
{
    return l->n;
}

const struct lora_module *lora_at(const struct lora *l, size_t i)
{
    return &l->modules[i];
}

void lora_ranks(const struct lora *l, int *least, int *most)
{
    *least = *most = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct lora_shape s;
        struct error ignored;
        if (!lora_shape_of(&l->modules[i], &s, &ignored))
            continue;
        *least = !*least || s.rank < *least ? s.rank : *least;
        *most = s.rank > *most ? s.rank : *most;
    }
}

const char *lora_origin(const struct lora *l)
{
    bool text_2 = false, known = false;

    for (size_t i = 0; i < l->n; i++) {
        const struct lora_module *m = &l->modules[i];
        struct lora_shape s;
        struct error ignored;
        known = known || m->name.part_known;
        text_2 = text_2 || (m->name.part_known && m->name.part == MODEL_TEXT_ENCODER_2);
        if (!m->name.part_known || m->name.part != MODEL_UNET ||
            !strstr(m->name.module, "attn2_to_k") || !lora_shape_of(m, &s, &ignored))
            continue;
        /* The width of the text that cross attention listens to. */
        switch (s.columns) {
        case 768:
            return "SD 1.x";
        case 1024:
            return "SD 2.x";
        case 2048:
            return "SDXL";
        case 1280:
            return "SDXL refiner";
        default:
            return "another kind of model";
        }
    }
    return text_2 ? "SDXL" : known || l->n == 0 ? "unknown" : "another kind of model";
}

static bool is_float(const struct tensor_info *t)
{
    return t->dtype_known &&
           (t->dtype == DTYPE_F32 || t->dtype == DTYPE_F16 || t->dtype == DTYPE_BF16);
}

/* One number of any type. */
static bool read_alpha(const struct tensor_info *t, double *out)
{
    float f;
    int32_t i32;
    int64_t i64;
    uint16_t half;

    if (!t->dtype_known || t->n_bytes != dtype_bytes(t->dtype))
        return false;
    switch (t->dtype) {
    case DTYPE_F64:
        memcpy(out, t->bytes, sizeof *out);
        break;
    case DTYPE_F32:
        memcpy(&f, t->bytes, sizeof f);
        *out = (double)f;
        break;
    case DTYPE_F16:
    case DTYPE_BF16:
        memcpy(&half, t->bytes, sizeof half);
        *out =
            (double)(t->dtype == DTYPE_F16 ? dtype_f32_from_f16(half) : dtype_f32_from_bf16(half));
        break;
    case DTYPE_I32:
        memcpy(&i32, t->bytes, sizeof i32);
        *out = i32;
        break;
    default:
        memcpy(&i64, t->bytes, sizeof i64);
        *out = (double)i64;
    }
    return isfinite(*out) && fabs(*out) <= 1e6;
}

/* [a, b], or [a, b, kernel, kernel]. */
static bool is_matrix(const struct tensor_info *t, int *kernel)
{
    *kernel = t->n_dims == 4 ? (int)t->dims[2] : 1;
    return (t->n_dims == 2 ||
            (t->n_dims == 4 && t->dims[2] == t->dims[3] && (t->dims[2] == 1 || t->dims[2] == 3))) &&
           t->dims[0] > 0 && t->dims[1] > 0;
}

bool lora_shape_of(const struct lora_module *m, struct lora_shape *out, struct error *err)
{
    int up_kernel, down_kernel;
    const int key = (int)m->name.key_bytes;

    if (!m->up || !m->down)
        return error_set(err, ERROR_CORRUPT, "%.*s: its %s factor is missing", key, m->key,
                         m->up ? "down" : "up");
    if (!is_float(m->up) || !is_float(m->down))
        return error_set(err, ERROR_CORRUPT, "%.*s: not float32, float16 or bfloat16", key, m->key);
    if (!is_matrix(m->down, &down_kernel) || !is_matrix(m->up, &up_kernel) || up_kernel != 1)
        return error_set(err, ERROR_CORRUPT, "%.*s: its factors are no matrices", key, m->key);
    if (m->up->dims[1] != m->down->dims[0])
        return error_set(err, ERROR_CORRUPT,
                         "%.*s: down has rank %" PRId64 ", up has rank %" PRId64, key, m->key,
                         m->down->dims[0], m->up->dims[1]);
    if (m->down->dims[0] > LORA_MAX_RANK)
        return error_set(err, ERROR_LIMIT, "%.*s: rank %" PRId64 "; %d is the most", key, m->key,
                         m->down->dims[0], LORA_MAX_RANK);
    double alpha = (double)m->down->dims[0];
    if (m->alpha && !read_alpha(m->alpha, &alpha))
        return error_set(err, ERROR_CORRUPT, "%.*s: its alpha is not one number", key, m->key);
    *out = (struct lora_shape){.rank = (int)m->down->dims[0],
                               .rows = m->up->dims[0],
                               .columns = m->down->dims[1],
                               .kernel = down_kernel,
                               .factor = (float)(alpha / (double)m->down->dims[0])};
    return true;
}
