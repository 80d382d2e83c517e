#include "engine/weights.h"

#include "base/assert.h"

#include <stdint.h>
#include <stdlib.h>
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

bool weights_from_mapping(struct weights **out, const struct graph *g,
                          const struct weight_view *views, struct error *err)
{
    struct weights *w;
    if (!weights_from_views(&w, g, views, err))
        return false;
    w->mapped = true;
    if (!count_pages(w, err)) {
        weights_free(w);
        return false;
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
