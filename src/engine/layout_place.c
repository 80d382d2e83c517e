#include "engine/layout_place.h"

#include "engine/layout_room.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHORT_LIFE_OPS = 20, /* what lives no longer may be kept apart from the rest */
    TRIES = 5,
    MOST_BY_SIZE = 1 << 10, /* placing the largest first takes quadratic time */
    NONE = -1
};

struct placing {
    struct layout_block *blocks;
    int n;
    int *order, *other; /* n numbers of blocks each */
    int last;           /* op to which the longest life lasts */
    size_t *best;       /* offsets of the smallest arena so far, by block */
    size_t arena;
    size_t most; /* a larger one is of no use */

    /* Oldest first. */
    int *ending;             /* by op: a block whose life ends there and that others meet; NONE */
    int *next_ending;        /* by block: another one */
    struct layout_room room; /* what is taken at the op at hand */
    struct layout_room with; /* the same for one block, with answers that it will meet */
    int n_ended;             /* ops whose blocks are given back */

    /* Largest first. */
    struct layout_block *placed; /* copies by rising offset, close together for the search */
    int n_placed;
    const struct layout_block **meets; /* those of them that are alive together with one block */
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

/* The end of a run that is in order already. */
static int end_of_run(const struct placing *p, int from, before_fn before)
{
    int end = from < p->n ? from + 1 : p->n;

    while (end < p->n && !before(&p->blocks[p->order[end]], &p->blocks[p->order[end - 1]]))
        end++;
    return end;
}

/* Merge sort: stable, so that equal graphs get equal layouts everywhere.  Runs are taken as they
 * are found: tensors and workspaces come by rising age each. */
static void sort(struct placing *p, before_fn before)
{
    int runs = p->n;

    for (int i = 0; i < p->n; i++)
        p->order[i] = i;
    while (runs > 1) {
        runs = 0;
        for (int lo = 0; lo < p->n; runs++) {
            const int mid = end_of_run(p, lo, before), hi = end_of_run(p, mid, before);
            for (int a = lo, b = mid, k = lo; k < hi; k++) {
                bool take_b = a >= mid ||
                              (b < hi && before(&p->blocks[p->order[b]], &p->blocks[p->order[a]]));
                p->other[k] = take_b ? p->order[b++] : p->order[a++];
            }
            lo = hi;
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

/* Lists whose place is given back when.  A block that dies with its op, the last to be placed
 * there, meets nobody that comes later: most workspaces. */
static void list_endings(struct placing *p)
{
    for (int op = 0; op <= p->last; op++)
        p->ending[op] = NONE;
    for (int i = 0; i < p->n; i++) {
        const int block = p->order[i], first = p->blocks[block].first, last = p->blocks[block].last;
        p->next_ending[block] = block; /* of itself: never taken */
        if (first == last && (i + 1 == p->n || p->blocks[p->order[i + 1]].first > first))
            continue;
        p->next_ending[block] = p->ending[last];
        p->ending[last] = block;
    }
}

/* Gives back what is dead at op `now`. */
static void end_lives(struct placing *p, int now)
{
    for (; p->n_ended < now; p->n_ended++)
        for (int i = p->ending[p->n_ended]; i != NONE; i = p->next_ending[i])
            layout_room_give(&p->room, p->blocks[i].offset,
                             p->blocks[i].offset + p->blocks[i].bytes);
}

/* What is taken for a block.  Answers were placed before others, which meet them only once they
 * live: [next, n_answers) of them do not yet. */
static const struct layout_room *room_for(struct placing *p, const struct layout_block *block,
                                          int next, int n_answers)
{
    const struct layout_room *room = &p->room;

    for (int i = next; i < n_answers; i++) {
        const struct layout_block *answer = &p->blocks[p->other[i]];
        if (answer->first > block->last)
            break; /* they come by rising age, too */
        if (room == &p->room) {
            memcpy(p->with.taken, p->room.taken, (size_t)p->room.n * sizeof *p->room.taken);
            p->with.n = p->room.n;
            room = &p->with;
        }
        layout_room_take(&p->with, answer->offset, answer->offset + answer->bytes);
    }
    return room;
}

/* Places the answers, which all meet each other, in p->other; returns how many. */
static int place_answers(struct placing *p, size_t top)
{
    int n = 0;

    p->with.n = 0;
    for (int i = 0; i < p->n; i++) {
        struct layout_block *block = &p->blocks[p->order[i]];
        if (!is_answer(p, block))
            continue;
        block->offset = layout_room_find_high(&p->with, block->bytes, top);
        layout_room_take(&p->with, block->offset, block->offset + block->bytes);
        p->other[n++] = p->order[i];
    }
    return n;
}

/* Oldest first: only what is alive needs to be looked at, and none of that overlaps.  Where short
 * lives go above, the answer has its place there, too, from the start, so that nothing that it
 * meets settles in it.  Ends as soon as more than `most` is needed. */
static void oldest_first(struct placing *p, int short_life, size_t top, size_t most)
{
    const int n_answers = short_life ? place_answers(p, top) : 0;
    int next = 0; /* answer to come alive */

    p->room.n = p->n_ended = 0;
    for (int i = 0; i < p->n; i++) {
        struct layout_block *block = &p->blocks[p->order[i]];
        end_lives(p, block->first);
        for (; next < n_answers && p->blocks[p->other[next]].first <= block->first; next++) {
            const struct layout_block *answer = &p->blocks[p->other[next]];
            layout_room_take(&p->room, answer->offset, answer->offset + answer->bytes);
        }
        if (short_life && is_answer(p, block))
            continue;
        const struct layout_room *room = room_for(p, block, next, n_answers);
        block->offset = block->last - block->first < short_life
                            ? layout_room_find_high(room, block->bytes, top)
                            : layout_room_find_gap(room, block->bytes);
        if (block->offset + block->bytes > most)
            return;
        if (p->next_ending[p->order[i]] != p->order[i])
            layout_room_take(&p->room, block->offset, block->offset + block->bytes);
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

static void try_orders(struct placing *p, size_t least)
{
    const size_t good = least + least / 256;

    sort(p, is_older);
    list_endings(p);
    oldest_first(p, 0, 0, SIZE_MAX);
    search_top(p, least, good);
    if (p->arena > good && p->n <= MOST_BY_SIZE)
        largest_first(p, smaller(p->arena - 1, p->most));
    if (p->arena > p->most) {
        p->arena = p->most + 1; /* whatever it is */
        for (int i = 0; i < p->n; i++)
            p->blocks[i].offset = 0;
        return;
    }
    for (int i = 0; i < p->n; i++)
        p->blocks[i].offset = p->best[i];
}

static bool make_room(struct placing *p)
{
    const size_t n = p->n > 0 ? (size_t)p->n : 1;
    const size_t by_size = p->n <= MOST_BY_SIZE ? n : 1;

    p->order = calloc(n, sizeof *p->order);
    p->other = calloc(n, sizeof *p->other);
    p->best = calloc(n, sizeof *p->best);
    p->ending = calloc((size_t)p->last + 1, sizeof *p->ending);
    p->next_ending = calloc(n, sizeof *p->next_ending);
    p->room.taken = calloc(n, sizeof *p->room.taken);
    p->with.taken = calloc(n, sizeof *p->with.taken);
    p->placed = calloc(by_size, sizeof *p->placed);
    p->meets = calloc(by_size, sizeof *p->meets);
    return p->order && p->other && p->best && p->ending && p->next_ending && p->room.taken &&
           p->with.taken && p->placed && p->meets;
}

static void free_room(struct placing *p)
{
    free(p->order);
    free(p->other);
    free(p->best);
    free(p->ending);
    free(p->next_ending);
    free(p->room.taken);
    free(p->with.taken);
    free(p->placed);
    free(p->meets);
}

bool layout_place(struct layout_block *blocks, int n, size_t most_bytes, size_t *arena_bytes,
                  struct error *err)
{
    struct placing p = {
        .blocks = blocks, .n = n, .arena = SIZE_MAX, .most = most_bytes ? most_bytes : SIZE_MAX};

    *arena_bytes = 0;
    if (n == 0)
        return true;
    for (int i = 0; i < n; i++)
        p.last = blocks[i].last > p.last ? blocks[i].last : p.last;
    size_t *change = calloc((size_t)p.last + 2, sizeof *change);
    if (!change)
        return error_set(err, ERROR_MEMORY, "no memory to lay out a network");
    const size_t least = bound(&p, change, p.last + 1);
    free(change);
    *arena_bytes = least;
    if (most_bytes && least > most_bytes)
        return true;

    const bool ok = make_room(&p);
    if (ok)
        try_orders(&p, least);
    free_room(&p);
    *arena_bytes = p.arena;
    return ok || error_set(err, ERROR_MEMORY, "no memory to lay out a network");
}
