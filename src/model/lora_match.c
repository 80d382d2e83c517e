#include "model/lora_match.h"

#include "model/model_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_BYTES = 128, MOST_WEIGHTS = 1 << 14 };

/* A weight of the model under one of its names. */
struct known {
    char module[LORA_NAMES_BYTES];
    char weight[WEIGHT_BYTES];
    enum model_part part;
    int64_t rows, columns;
    int kernel;
};

struct model_weights {
    const struct model_info *info;
    enum model_part part;
    struct known *list;
    size_t n, cap;
    bool failed;
};

static bool add_weight(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct model_weights *w = ctx;
    char spelled[2][LORA_NAMES_BYTES];
    const int n = lora_names_spell(w->info, w->part, name, n_dims, spelled);

    for (int i = 0; i < n; i++) {
        if (w->n == w->cap) {
            const size_t cap = w->cap ? 2 * w->cap : 256;
            struct known *more = cap > MOST_WEIGHTS ? NULL : realloc(w->list, cap * sizeof *more);
            w->failed = !more;
            if (!more)
                return false;
            w->list = more;
            w->cap = cap;
        }
        struct known *k = &w->list[w->n++];
        *k = (struct known){.part = w->part,
                            .rows = dims[0],
                            .columns = dims[1],
                            .kernel = n_dims == 4 ? (int)dims[2] : 1};
        memcpy(k->module, spelled[i], sizeof k->module);
        snprintf(k->weight, sizeof k->weight, "%s", name);
    }
    return true;
}

static int compare(enum model_part a_part, const char *a, enum model_part b_part, const char *b)
{
    return a_part != b_part ? (a_part > b_part) - (a_part < b_part) : strcmp(a, b);
}

static int by_module(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    return compare(x->part, x->module, y->part, y->module);
}

static int by_weight(const void *a, const void *b)
{
    const struct lora_target *x = a, *y = b;
    return compare(x->part, x->weight, y->part, y->weight);
}

static bool list_weights(struct model_weights *w, const struct model_info *info, struct error *err)
{
    static const enum model_part parts[] = {MODEL_TEXT_ENCODER, MODEL_TEXT_ENCODER_2, MODEL_UNET};

    *w = (struct model_weights){.info = info};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !w->failed; i++) {
        w->part = parts[i];
        if (info->has_part[w->part] && !model_names_part(info, w->part, add_weight, w))
            w->failed = true;
    }
    if (w->failed) {
        free(w->list);
        return error_set(err, ERROR_MEMORY, "no memory for a list of a model's weights");
    }
    qsort(w->list, w->n, sizeof *w->list, by_module);
    return true;
}

static const struct known *find_known(const struct model_weights *w, const struct lora_module *m)
{
    struct known key = {.part = m->name.part};

    memcpy(key.module, m->name.module, sizeof key.module);
    return m->name.part_known && w->n ? bsearch(&key, w->list, w->n, sizeof *w->list, by_module)
                                      : NULL;
}

static void write_kernel(char out[32], int kernel)
{
    out[0] = 0;
    if (kernel > 1)
        snprintf(out, 32, "x%dx%d", kernel, kernel);
}

/* False, with the reason, when the module does not have the weight's shape. */
static bool fits(const struct lora_module *m, const struct lora_shape *s, const struct known *k,
                 struct error *err)
{
    char have[32], want[32];
    const int key = (int)m->name.key_bytes;

    if (s->columns != k->columns || s->kernel != k->kernel) {
        write_kernel(have, s->kernel);
        write_kernel(want, k->kernel);
        return error_set(err, ERROR_CORRUPT,
                         "%.*s: down is %dx%" PRId64 "%s, the model's weight needs %dx%" PRId64
                         "%s",
                         key, m->key, s->rank, s->columns, have, s->rank, k->columns, want);
    }
    return s->rows == k->rows ||
           error_set(err, ERROR_CORRUPT,
                     "%.*s: up is %" PRId64 "x%d, the model's weight needs %" PRId64 "x%d", key,
                     m->key, s->rows, s->rank, k->rows, s->rank);
}

/* The first reason stays, but that of a mismatch tells more than that of a missing name. */
static void explain(struct lora_match *out, bool mismatch, const char *why)
{
    if (!out->why[0] || (mismatch && out->n_mismatched == 1))
        snprintf(out->why, sizeof out->why, "%.*s", (int)sizeof out->why - 1, why);
}

static void match_module(struct lora_match *out, const struct model_weights *w,
                         const struct lora_module *m, size_t *name_bytes)
{
    struct error err;
    struct lora_shape shape;
    const struct known *k = find_known(w, m);

    if (!k) {
        out->n_unmatched++;
        error_set(&err, ERROR_NOT_FOUND, "the model has no weight for %.*s", (int)m->name.key_bytes,
                  m->key);
        explain(out, false, err.text);
        return;
    }
    if (!lora_shape_of(m, &shape, &err) || !fits(m, &shape, k, &err)) {
        out->n_mismatched++;
        explain(out, true, err.text);
        return;
    }
    char *name = out->names + *name_bytes;
    const size_t len = strlen(k->weight) + 1;
    memcpy(name, k->weight, len);
    *name_bytes += len;
    out->targets[out->n++] =
        (struct lora_target){.part = k->part, .weight = name, .module = m, .shape = shape};
}

/* A module under its diffusers name and again under its LDM name belongs to one weight. */
static bool is_once(const struct lora_match *m, struct error *err)
{
    for (size_t i = 1; i < m->n; i++)
        if (by_weight(&m->targets[i - 1], &m->targets[i]) == 0)
            return error_set(err, ERROR_CORRUPT, "%.*s: another key means the same weight",
                             (int)m->targets[i].module->name.key_bytes, m->targets[i].module->key);
    return true;
}

bool lora_match_make(struct lora_match *out, const struct lora *l, const struct model_info *info,
                     struct error *err)
{
    struct model_weights w;
    const size_t n = lora_count(l);
    size_t name_bytes = 0;
    struct error twice;

    *out = (struct lora_match){.n_modules = n};
    if (!lora_kind_is_applied(lora_kind(l))) {
        snprintf(out->why, sizeof out->why, "%s: this kind of adapter is not supported",
                 lora_kind_name(lora_kind(l)));
        return true;
    }
    if (!list_weights(&w, info, err))
        return false;
    out->targets = calloc(n ? n : 1, sizeof *out->targets);
    out->names = malloc(n ? n * WEIGHT_BYTES : 1);
    if (!out->targets || !out->names) {
        free(w.list);
        lora_match_clear(out);
        return error_set(err, ERROR_MEMORY, "no memory for %zu modules of a LoRA", n);
    }
    for (size_t i = 0; i < n; i++)
        match_module(out, &w, lora_at(l, i), &name_bytes);
    free(w.list);
    qsort(out->targets, out->n, sizeof *out->targets, by_weight);
    if (!is_once(out, &twice)) {
        out->n_mismatched++;
        explain(out, true, twice.text);
    }
    out->compatible = out->n > 0 && out->n_mismatched == 0 && out->n >= out->n_unmatched;
    return true;
}

void lora_match_clear(struct lora_match *m)
{
    free(m->targets);
    free(m->names);
    *m = (struct lora_match){0};
}

const struct lora_target *lora_match_find(const struct lora_match *m, enum model_part part,
                                          const char *weight)
{
    const struct lora_target key = {.part = part, .weight = weight};
    return m->n ? bsearch(&key, m->targets, m->n, sizeof *m->targets, by_weight) : NULL;
}
