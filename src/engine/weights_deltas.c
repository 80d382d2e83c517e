#include "engine/weights_deltas.h"

#include "base/assert.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A fault maps what is cached around it, up to a huge page (Linux 6.18). */
enum { AROUND_BYTES = 2 << 20 };

struct of_weight {
    struct weight_delta *list; /* owned */
    int n;
};

/* Whole pages. */
struct range {
    uintptr_t first, end;
};

struct weights_deltas {
    struct of_weight *of; /* by weight - 1 */
    int n_weights;
    struct range *ranges; /* by address; they neither meet nor overlap */
    size_t n_ranges, cap_ranges;
    uintptr_t page;
};

bool weights_deltas_new(struct weights_deltas **out, int n_weights, struct error *err)
{
    struct weights_deltas *d = calloc(1, sizeof *d);

    if (d)
        d->of = calloc(n_weights ? (size_t)n_weights : 1, sizeof *d->of);
    if (!d || !d->of) {
        free(d);
        return error_set(err, ERROR_MEMORY, "no memory for deltas of %d weights", n_weights);
    }
    d->n_weights = n_weights;
    d->page = (uintptr_t)sysconf(_SC_PAGESIZE);
    *out = d;
    return true;
}

void weights_deltas_free(struct weights_deltas *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->n_weights; i++)
        free(d->of[i].list);
    free(d->of);
    free(d->ranges);
    free(d);
}

static bool make_room(struct weights_deltas *d)
{
    if (d->n_ranges < d->cap_ranges)
        return true;
    size_t cap = d->cap_ranges ? 2 * d->cap_ranges : 16;
    struct range *more = realloc(d->ranges, cap * sizeof *more);
    if (!more)
        return false;
    d->ranges = more;
    d->cap_ranges = cap;
    return true;
}

/* The first range that ends at or behind `at`. */
static size_t find_place(const struct weights_deltas *d, uintptr_t at)
{
    size_t lo = 0, hi = d->n_ranges;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (d->ranges[middle].end < at)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

/* Joins the view's pages, whole `unit`s of a power of two bytes, with the ranges they meet. */
static bool add_pages(struct weights_deltas *d, const struct weight_view *v, uintptr_t unit)
{
    const uintptr_t at = (uintptr_t)v->bytes;
    const size_t bytes = (size_t)v->count * dtype_bytes(v->dtype);
    struct range r = {at & ~(unit - 1), (at + bytes + unit - 1) & ~(unit - 1)};
    const size_t begin = find_place(d, r.first);
    size_t end = begin;

    if (!make_room(d))
        return false;
    for (; end < d->n_ranges && d->ranges[end].first <= r.end; end++) {
        r.first = d->ranges[end].first < r.first ? d->ranges[end].first : r.first;
        r.end = d->ranges[end].end > r.end ? d->ranges[end].end : r.end;
    }
    memmove(d->ranges + begin + 1, d->ranges + end, (d->n_ranges - end) * sizeof r);
    d->n_ranges = d->n_ranges - (end - begin) + 1;
    d->ranges[begin] = r;
    return true;
}

bool weights_deltas_add(struct weights_deltas *d, int weight, const struct weight_delta *delta,
                        struct error *err)
{
    ASSERT(weight >= 1 && weight <= d->n_weights);
    struct of_weight *of = &d->of[weight - 1];
    struct weight_delta *more = realloc(of->list, ((size_t)of->n + 1) * sizeof *more);

    if (more)
        of->list = more;
    if (!more || !add_pages(d, &delta->up, d->page) || !add_pages(d, &delta->down, d->page))
        return error_set(err, ERROR_MEMORY, "no memory for one more delta of a weight");
    of->list[of->n++] = *delta;
    return true;
}

int weights_deltas_find(const struct weights_deltas *d, int weight, const struct weight_delta **out)
{
    ASSERT(weight >= 1 && weight <= d->n_weights);
    *out = d->of[weight - 1].list;
    return d->of[weight - 1].n;
}

size_t weights_deltas_bytes(const struct weights_deltas *d)
{
    size_t bytes = 0;
    for (size_t i = 0; i < d->n_ranges; i++)
        bytes += d->ranges[i].end - d->ranges[i].first;
    return bytes;
}

bool weights_deltas_use(struct weights_deltas *used, const struct weights_deltas *d, int weight)
{
    const struct weight_delta *list;
    const int n = weights_deltas_find(d, weight, &list);
    const uintptr_t unit = d->page > AROUND_BYTES ? d->page : AROUND_BYTES;

    for (int i = 0; i < n; i++)
        if (!add_pages(used, &list[i].up, unit) || !add_pages(used, &list[i].down, unit))
            return false;
    return true;
}

void weights_deltas_drop(const struct weights_deltas *d)
{
    for (size_t i = 0; i < d->n_ranges; i++) {
        const struct range *r = &d->ranges[i];
        (void)madvise((unsigned char *)r->first, r->end - r->first, MADV_DONTNEED);
    }
}
