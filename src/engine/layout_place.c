#include "engine/layout_place.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHORT_LIFE_OPS = 20, /* what lives no longer may be kept apart from the rest */
    TRIES = 5,
    MOST_BY_SIZE = 1 << 10 /* placing the largest first takes quadratic time */
};

struct placing {
    struct layout_block *blocks;
    int n;
    int *order, *other;          /* n numbers of blocks each */
    struct layout_block *placed; /* copies by rising offset, close together for the search */
    int n_placed;
    const struct layout_block **meets; /* those of them that are alive together with one block */
    int last;                          /* op to which the longest life lasts */
    size_t *best;                      /* offsets of the smallest arena so far */
    size_t arena;
    size_t most; /* a larger one is of no use */
};

typedef bool (*before_fn)(const struct layout_block *a, const struct layout_block *b);

static bool is_larger(const struct layout_block *a, const struct layout_block *b)
{
    return a->bytes > b->bytes;
}

static bool is_older(const struct layout_block *a, const struct layout_block *b)
{
    return a->first < b->first || (a->first == b->first && a->bytes > b->bytes);
}

/* Merge sort: stable, so that equal graphs get equal layouts everywhere. */
static void sort(struct placing *p, before_fn before)
{
    for (int i = 0; i < p->n; i++)
        p->order[i] = i;
    for (int run = 1; run < p->n; run *= 2) {
        for (int lo = 0; lo < p->n; lo += 2 * run) {
            int mid = lo + run < p->n ? lo + run : p->n;
            int hi = lo + 2 * run < p->n ? lo + 2 * run : p->n;
            for (int a = lo, b = mid, k = lo; k < hi; k++) {
                bool take_b = a >= mid ||
                              (b < hi && before(&p->blocks[p->order[b]], &p->blocks[p->order[a]]));
                p->other[k] = take_b ? p->order[b++] : p->order[a++];
            }
        }
        int *swap = p->order;
        p->order = p->other;
        p->other = swap;
    }
}

/* The most bytes alive at one op: no arena can be smaller. */
static size_t bound(const struct placing *p, size_t *change, int n_ops)
{
    size_t alive = 0, most = 0;

    for (int i = 0; i < p->n; i++) { /* unsigned wrapping takes away what was added */
        change[p->blocks[i].first] += p->blocks[i].bytes;
        change[p->blocks[i].last + 1] -= p->blocks[i].bytes;
    }
    for (int i = 0; i < n_ops; i++) {
        alive += change[i];
        most = alive > most ? alive : most;
    }
    return most;
}

/* Lists the placed blocks alive at the same time, by rising offset.  Without branches: there is no
 * guessing which they are. */
static int list_meeting(const struct placing *p, const struct layout_block *block)
{
    int n = 0;

    for (int k = 0; k < p->n_placed; k++) {
        const struct layout_block *other = &p->placed[k];
        p->meets[n] = other;
        n += (other->last >= block->first) & (other->first <= block->last);
    }
    return n;
}

/* The smallest gap that holds the block among the placed ones alive at the same time. */
static size_t find_gap(const struct placing *p, const struct layout_block *block)
{
    const int n = list_meeting(p, block);
    size_t at = 0, best = SIZE_MAX, best_gap = SIZE_MAX;

    for (int k = 0; k < n; k++) {
        const struct layout_block *other = p->meets[k];
        if (other->offset >= at && other->offset - at >= block->bytes &&
            other->offset - at < best_gap) {
            best = at;
            best_gap = other->offset - at;
        }
        if (other->offset + other->bytes > at)
            at = other->offset + other->bytes;
    }
    return best != SIZE_MAX ? best : at;
}

/* The highest place below `top` that holds the block; where there is none, the lowest above. Placed
 * blocks may overlap where they never meet, so each is held against the place itself. */
static size_t find_high(const struct placing *p, const struct layout_block *block, size_t top)
{
    const int n = list_meeting(p, block);
    size_t end = top, at = 0;

    for (int k = n - 1; k >= 0; k--) {
        const struct layout_block *other = p->meets[k];
        const size_t other_end = other->offset + other->bytes;
        at = other_end > at ? other_end : at;
        if (other->offset < end && (end < block->bytes || other_end > end - block->bytes))
            end = other->offset;
    }
    if (end >= block->bytes)
        return end - block->bytes;
    return at > top ? at : top;
}

static void put(struct placing *p, int block, size_t offset)
{
    int low = 0, high = p->n_placed; /* behind all that begin at the offset or below */

    p->blocks[block].offset = offset;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (p->placed[middle].offset > offset)
            high = middle;
        else
            low = middle + 1;
    }
    memmove(p->placed + low + 1, p->placed + low, (size_t)(p->n_placed - low) * sizeof *p->placed);
    p->placed[low] = p->blocks[block];
    p->n_placed++;
}

static void keep_if_best(struct placing *p)
{
    size_t arena = 0;
    for (int i = 0; i < p->n; i++) {
        const size_t end = p->blocks[i].offset + p->blocks[i].bytes;
        arena = end > arena ? end : arena;
    }
    if (arena >= p->arena)
        return;
    p->arena = arena;
    for (int i = 0; i < p->n; i++)
        p->best[i] = p->blocks[i].offset;
}

static void largest_first(struct placing *p, size_t most)
{
    sort(p, is_larger);
    p->n_placed = 0;
    for (int i = 0; i < p->n; i++) {
        const struct layout_block *block = &p->blocks[p->order[i]];
        put(p, p->order[i], find_gap(p, block));
        if (block->offset + block->bytes > most)
            return;
    }
    keep_if_best(p);
}

/* The network's answer: what stays to the end without having been there from the start. */
static bool is_answer(const struct placing *p, const struct layout_block *block)
{
    return block->last == p->last && block->first > 0;
}

static void forget_dead(struct placing *p, int now)
{
    int alive = 0;
    for (int k = 0; k < p->n_placed; k++)
        if (p->placed[k].last >= now)
            p->placed[alive++] = p->placed[k];
    p->n_placed = alive;
}

/* Oldest first: only what is alive needs to be looked at.  Where short lives go above, the answer
 * has its place there, too, from the start, so that nothing that it meets settles in it.  Ends as
 * soon as more than `most` is needed. */
static void oldest_first(struct placing *p, int short_life, size_t top, size_t most)
{
    int now = 0;

    p->n_placed = 0;
    for (int i = 0; i < p->n && short_life; i++)
        if (is_answer(p, &p->blocks[p->order[i]]))
            put(p, p->order[i], find_high(p, &p->blocks[p->order[i]], top));
    for (int i = 0; i < p->n; i++) {
        const struct layout_block *block = &p->blocks[p->order[i]];
        if (short_life && is_answer(p, block))
            continue;
        if (block->first > now)
            forget_dead(p, block->first);
        now = block->first;
        bool is_short = block->last - block->first < short_life;
        put(p, p->order[i], is_short ? find_high(p, block, top) : find_gap(p, block));
        if (block->offset + block->bytes > most)
            return;
    }
    keep_if_best(p);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Halves the distance between what fails and what does, as far as it is worth the time.  The tops
 * do not depend on the most that is of use: a layout below that is the one there would be without
 * it. */
static void search_top(struct placing *p, size_t least, size_t good)
{
    size_t low = least;

    for (int i = 0; i < TRIES && p->arena > good && low <= p->most; i++) {
        const size_t top = i ? (low + (p->arena - low) / 2) / 64 * 64 : least / 64 * 64;
        oldest_first(p, SHORT_LIFE_OPS, top, p->arena - 1);
        if (p->arena > top)
            low = top;
    }
}

static bool try_orders(struct placing *p, size_t most_bytes, struct error *err)
{
    int n_ops = 0;
    for (int i = 0; i < p->n; i++)
        n_ops = p->blocks[i].last + 1 > n_ops ? p->blocks[i].last + 1 : n_ops;
    p->last = n_ops - 1;
    size_t *change = calloc((size_t)n_ops + 1, sizeof *change);
    if (!change)
        return error_set(err, ERROR_MEMORY, "no memory to lay out a network");
    const size_t least = bound(p, change, n_ops);
    free(change);
    if (most_bytes && least > most_bytes) {
        p->arena = least;
        return true;
    }

    const size_t good = least + least / 256;
    sort(p, is_older);
    oldest_first(p, 0, 0, SIZE_MAX);
    search_top(p, least, good);
    if (p->arena > good && p->n <= MOST_BY_SIZE)
        largest_first(p, smaller(p->arena - 1, p->most));
    if (p->arena > p->most) {
        p->arena = p->most + 1; /* whatever it is */
        for (int i = 0; i < p->n; i++)
            p->blocks[i].offset = 0;
        return true;
    }
    for (int i = 0; i < p->n; i++)
        p->blocks[i].offset = p->best[i];
    return true;
}

bool layout_place(struct layout_block *blocks, int n, size_t most_bytes, size_t *arena_bytes,
                  struct error *err)
{
    const size_t count = n > 0 ? (size_t)n : 1;
    struct placing p = {
        .blocks = blocks, .n = n, .arena = SIZE_MAX, .most = most_bytes ? most_bytes : SIZE_MAX};
    bool ok = false;

    p.order = calloc(count, sizeof *p.order);
    p.other = calloc(count, sizeof *p.other);
    p.placed = calloc(count, sizeof *p.placed);
    p.best = calloc(count, sizeof *p.best);
    p.meets = calloc(count, sizeof *p.meets);
    if (!p.order || !p.other || !p.placed || !p.best || !p.meets)
        error_set(err, ERROR_MEMORY, "no memory to lay out a network");
    else
        ok = try_orders(&p, most_bytes, err);
    if (ok)
        *arena_bytes = n > 0 ? p.arena : 0;
    free(p.order);
    free(p.other);
    free(p.placed);
    free(p.best);
    free(p.meets);
    return ok;
}
