#include "engine/layout_room.h"

#include "base/assert.h"

#include <stdint.h>
#include <string.h>

/* The first run that ends at `at` or above. */
static int find_run(const struct layout_room *r, size_t at)
{
    int low = 0, high = r->n;

    while (low < high) {
        const int middle = (low + high) / 2;
        if (r->taken[middle].end < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Runs [from, to) become `count` others, which the caller fills in. */
static void replace(struct layout_room *r, int from, int to, int count)
{
    if (to - from != count)
        memmove(r->taken + from + count, r->taken + to, (size_t)(r->n - to) * sizeof *r->taken);
    r->n += count - (to - from);
}

void layout_room_take(struct layout_room *r, size_t begin, size_t end)
{
    const int from = find_run(r, begin);
    int to = from;

    if (begin == end)
        return;
    for (; to < r->n && r->taken[to].begin <= end; to++) {
        begin = r->taken[to].begin < begin ? r->taken[to].begin : begin;
        end = r->taken[to].end > end ? r->taken[to].end : end;
    }
    replace(r, from, to, 1);
    r->taken[from] = (struct layout_run){begin, end};
}

void layout_room_give(struct layout_room *r, size_t begin, size_t end)
{
    const int i = find_run(r, end);

    if (begin == end)
        return;
    ASSERT(i < r->n && r->taken[i].begin <= begin);
    const struct layout_run below = {r->taken[i].begin, begin}, above = {end, r->taken[i].end};
    const int has_below = below.begin < below.end, has_above = above.begin < above.end;
    replace(r, i, i + 1, has_below + has_above);
    if (has_below)
        r->taken[i] = below;
    if (has_above)
        r->taken[i + has_below] = above;
}

size_t layout_room_find_gap(const struct layout_room *r, size_t bytes)
{
    size_t at = 0, best = SIZE_MAX, best_gap = SIZE_MAX;

    for (int i = 0; i < r->n; i++) {
        const size_t gap = r->taken[i].begin - at;
        if (gap >= bytes && gap < best_gap) {
            best = at;
            best_gap = gap;
        }
        at = r->taken[i].end;
    }
    return best != SIZE_MAX ? best : at;
}

size_t layout_room_find_high(const struct layout_room *r, size_t bytes, size_t top)
{
    size_t end = SIZE_MAX; /* of the gap below run i + 1 */

    for (int i = r->n - 1; i >= -1; i--) {
        const size_t begin = i < 0 ? 0 : r->taken[i].end;
        const size_t most = end < top ? end : top;
        if (most >= begin && most - begin >= bytes)
            return most - bytes;
        if (i >= 0)
            end = r->taken[i].begin;
    }
    const size_t all = r->n ? r->taken[r->n - 1].end : 0;
    return all > top ? all : top;
}
