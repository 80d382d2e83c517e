#include "engine/weights.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct weights {
    struct weight_view *views; /* by number - 1 */
    int n;
    size_t bytes, resident_bytes;
    bool mapped; /* views lie in mapped files, whose pages can be given back */
};

static bool count_pages(struct weights *w, struct error *err);

static struct weights *new_weights(const struct graph *g, struct error *err)
{
    int n = graph_n_weights(g);
    struct weights *w = calloc(1, sizeof *w);

    if (w)
        w->views = calloc(n ? (size_t)n : 1, sizeof *w->views);
    if (!w || !w->views) {
        weights_free(w);
        error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", n);
        return NULL;
    }
    w->n = n;
    return w;
}

static void write_shape(char *to, size_t room, int n_dims, const int64_t *dims)
{
    size_t len = 0;
    to[0] = 0;
    for (int i = 0; i < n_dims && len < room; i++) {
        int n = snprintf(to + len, room - len, "%s%" PRId64, i ? "x" : "", dims[i]);
        len += n > 0 ? (size_t)n : 0;
    }
}

static bool same_dims(const struct graph_weight *want, const struct model_tensor *have)
{
    for (int i = 0; i < 4; i++) {
        int64_t a = i < want->n_dims ? want->dims[i] : 1;
        int64_t b = i < have->n_dims ? have->dims[i] : 1;
        if (a != b)
            return false;
    }
    return true;
}

static bool bind_one(struct weight_view *out, const struct graph_weight *want,
                     const struct model *m, enum model_part part, struct error *err)
{
    struct model_tensor have;

    if (!model_find(m, part, want->name, &have))
        return error_set(err, ERROR_CORRUPT, "%s: the %s has no tensor '%s'", model_view(m)->path,
                         model_part_name(part), want->name);
    if (!same_dims(want, &have)) {
        char a[96], b[96];
        write_shape(a, sizeof a, want->n_dims, want->dims);
        write_shape(b, sizeof b, have.n_dims, have.dims);
        return error_set(err, ERROR_CORRUPT, "%s: tensor '%s' is %s, the network needs %s",
                         have.file, have.name, b, a);
    }
    if (have.dtype != DTYPE_F32 && have.dtype != DTYPE_F16 && have.dtype != DTYPE_BF16)
        return error_set(err, ERROR_CORRUPT, "%s: tensor '%s' is not float32, float16 or bfloat16",
                         have.file, have.name);
    *out = (struct weight_view){have.bytes, have.dtype,
                                (int64_t)(have.n_bytes / dtype_bytes(have.dtype))};
    return true;
}

bool weights_bind(struct weights **out, const struct graph *g, const struct model *m,
                  enum model_part part, struct error *err)
{
    if (!graph_check(g, err))
        return false;
    struct weights *w = new_weights(g, err);
    if (!w)
        return false;
    w->mapped = true;
    for (int i = 0; i < w->n; i++) {
        if (!bind_one(&w->views[i], graph_weight_view(g, i + 1), m, part, err)) {
            weights_free(w);
            return false;
        }
        w->bytes += (size_t)w->views[i].count * dtype_bytes(w->views[i].dtype);
    }
    if (!count_pages(w, err)) {
        weights_free(w);
        return false;
    }
    *out = w;
    return true;
}

bool weights_from_views(struct weights **out, const struct graph *g,
                        const struct weight_view *views, struct error *err)
{
    struct weights *w = new_weights(g, err);
    if (!w)
        return false;
    for (int i = 0; i < w->n; i++) {
        w->views[i] = views[i];
        w->bytes += (size_t)views[i].count * dtype_bytes(views[i].dtype);
    }
    *out = w;
    return true;
}

void weights_free(struct weights *w)
{
    if (!w)
        return;
    free(w->views);
    free(w);
}

const struct weight_view *weights_find(const struct weights *w, int weight)
{
    ASSERT(weight >= 1 && weight <= w->n);
    return &w->views[weight - 1];
}

size_t weights_bytes(const struct weights *w)
{
    return w->bytes;
}

struct page_range {
    uintptr_t first, end;
};

static struct page_range pages_of(const struct weight_view *v, uintptr_t page)
{
    uintptr_t at = (uintptr_t)v->bytes;
    size_t bytes = (size_t)v->count * dtype_bytes(v->dtype);
    return (struct page_range){at & ~(page - 1), (at + bytes + page - 1) & ~(page - 1)};
}

static int by_address(const void *a, const void *b)
{
    const struct page_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

size_t weights_resident_bytes(const struct weights *w)
{
    return w->resident_bytes;
}

/* Neighbours share pages: counts each page once. */
static bool count_pages(struct weights *w, struct error *err)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = 0;
    struct page_range *ranges = calloc(w->n ? (size_t)w->n : 1, sizeof *ranges);

    if (!ranges)
        return error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", w->n);
    for (int i = 0; i < w->n; i++)
        ranges[i] = pages_of(&w->views[i], page);
    qsort(ranges, (size_t)w->n, sizeof *ranges, by_address);
    for (int i = 0; i < w->n; i++) {
        uintptr_t from = ranges[i].first > end ? ranges[i].first : end;
        if (ranges[i].end > from) {
            w->resident_bytes += ranges[i].end - from;
            end = ranges[i].end;
        }
    }
    free(ranges);
    return true;
}

void weights_drop(struct weights *w)
{
    if (!w->mapped)
        return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < w->n; i++) {
        struct page_range r = pages_of(&w->views[i], page);
        /* Clean pages of a private file mapping: dropping them loses nothing. */
        (void)madvise((void *)r.first, r.end - r.first, MADV_DONTNEED);
    }
}

void weights_acquire(struct weights *w, int op)
{
    (void)w, (void)op;
}

void weights_release(struct weights *w, int op)
{
    (void)w, (void)op;
}
