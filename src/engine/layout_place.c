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

/* A block in the order that it is placed in. */
struct step {
    size_t bytes, offset;
    int block;
    int first, last;
    int next_ending; /* another one that dies at the same op */
    bool is_met;     /* by blocks that are placed later */
    bool is_answer;
};

struct placing {
    struct layout_block *blocks;
    int n;
    int *order, *other; /* n numbers of blocks each */
    int last;           /* op to which the longest life lasts */
    size_t arena;       /* the smallest so far, by oldest_first with these: */
    int best_life;
    size_t best_top;
    size_t most; /* a larger one is of no use */

    /* Oldest first. */
    struct step *steps;      /* n, in that order */
    int *ending;             /* by op: a step whose block dies there and is met by others; NONE */
    int *few, n_few;         /* steps that matter */
    struct layout_room room; /* what is taken at the op at hand */
    struct layout_room with; /* the same for one block, with answers that it will meet */
    int n_ended;             /* ops whose blocks are given back */
    int n_answers;           /* placed before the others: steps, in p->other */
    int next_answer;         /* that comes alive */

    /* Largest first. */
    struct layout_block *placed; /* copies of what lives longer than an op */
    int n_placed;
    int *brief;      /* by op: a placed block that lives for it alone; NONE */
    int *next_brief; /* by block: another one */
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

/* What is taken at any op of a block's life. */
static void take_meeting(struct placing *p, const struct layout_block *block)
{
    p->with.n = 0;
    for (int k = 0; k < p->n_placed; k++) {
        const struct layout_block *other = &p->placed[k];
        if (other->last >= block->first && other->first <= block->last)
            layout_room_take(&p->with, other->offset, other->offset + other->bytes);
    }
    for (int op = block->first; op <= block->last; op++)
        for (int k = p->brief[op]; k != NONE; k = p->next_brief[k]) {
            const struct layout_block *other = &p->blocks[k];
            layout_room_take(&p->with, other->offset, other->offset + other->bytes);
        }
}

/* Those that live for one op, most of them, are found by it. */
static void put(struct placing *p, int block)
{
    const int op = p->blocks[block].first;

    if (op < p->blocks[block].last) {
        p->placed[p->n_placed++] = p->blocks[block];
        return;
    }
    p->next_brief[block] = p->brief[op];
    p->brief[op] = block;
}

/* Returns whether that needs no more than `most`, and then leaves the blocks where they are. */
static bool largest_first(struct placing *p, size_t most)
{
    size_t arena = 0;

    sort(p, is_larger);
    p->n_placed = 0;
    for (int op = 0; op <= p->last; op++)
        p->brief[op] = NONE;
    for (int i = 0; i < p->n; i++) {
        struct layout_block *block = &p->blocks[p->order[i]];
        take_meeting(p, block);
        block->offset = layout_room_find_gap(&p->with, block->bytes);
        put(p, p->order[i]);
        const size_t end = block->offset + block->bytes;
        if (end > most)
            return false;
        arena = end > arena ? end : arena;
    }
    p->arena = arena;
    return true;
}

/* The network's answer: what stays to the end without having been there from the start. */
static bool is_answer(const struct placing *p, const struct layout_block *block)
{
    return block->last == p->last && block->first > 0;
}

/* True when something dies from op `from` on, before op `to`. */
static bool dies_between(const struct placing *p, int from, int to)
{
    for (int op = from; op < to; op++)
        if (p->ending[op] != NONE)
            return true;
    return false;
}

/* Lists the steps that matter to whether an arena suffices.  Of those that nobody meets and that
 * find the same taken, the largest: where a smaller one goes above the top, so does that. */
static void list_few(struct placing *p)
{
    int largest = NONE; /* of those since the last change of what is taken */

    p->n_few = 0;
    for (int i = 0; i < p->n; i++) {
        const struct step *s = &p->steps[i];
        const bool changes =
            i > 0 && (p->steps[i - 1].is_met || dies_between(p, p->steps[i - 1].first, s->first));
        if (changes)
            largest = NONE;
        if (s->is_met || largest == NONE) {
            largest = s->is_met ? NONE : p->n_few;
            p->few[p->n_few++] = i;
        } else if (s->bytes > p->steps[p->few[largest]].bytes) {
            p->few[largest] = i;
        }
    }
}

/* Lists the steps, and whose place is given back when.  A block that dies with its op, the last to
 * be placed there, meets nobody that comes later: most workspaces. */
static void list_steps(struct placing *p)
{
    for (int op = 0; op <= p->last; op++)
        p->ending[op] = NONE;
    for (int i = 0; i < p->n; i++) {
        const struct layout_block *block = &p->blocks[p->order[i]];
        struct step *s = &p->steps[i];
        const bool is_last = i + 1 == p->n || p->blocks[p->order[i + 1]].first > block->first;
        *s = (struct step){.bytes = block->bytes,
                           .block = p->order[i],
                           .first = block->first,
                           .last = block->last,
                           .next_ending = NONE,
                           .is_met = block->first < block->last || !is_last,
                           .is_answer = is_answer(p, block)};
        if (!s->is_met)
            continue;
        s->next_ending = p->ending[s->last];
        p->ending[s->last] = i;
    }
    list_few(p);
}

/* Gives back what is dead at op `now`. */
static void end_lives(struct placing *p, int now)
{
    for (; p->n_ended < now; p->n_ended++)
        for (int i = p->ending[p->n_ended]; i != NONE; i = p->steps[i].next_ending)
            layout_room_give(&p->room, p->steps[i].offset, p->steps[i].offset + p->steps[i].bytes);
}

/* What is taken for a block.  Answers were placed before others, which meet them only once they
 * live: from p->next_answer on they do not yet. */
static const struct layout_room *room_for(struct placing *p, const struct step *s)
{
    const struct layout_room *room = &p->room;

    for (int i = p->next_answer; i < p->n_answers; i++) {
        const struct step *answer = &p->steps[p->other[i]];
        if (answer->first > s->last)
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

/* Places the answers, which all meet each other, and lists them in p->other.  Returns the end of
 * the highest. */
static size_t place_answers(struct placing *p, size_t top)
{
    size_t most = 0;

    p->with.n = 0;
    for (int i = 0; i < p->n; i++) {
        struct step *s = &p->steps[i];
        if (!s->is_answer)
            continue;
        s->offset = layout_room_find_high(&p->with, s->bytes, top);
        layout_room_take(&p->with, s->offset, s->offset + s->bytes);
        most = s->offset + s->bytes > most ? s->offset + s->bytes : most;
        p->other[p->n_answers++] = i;
    }
    return most;
}

/* Goes on to op `now`. */
static void go_to(struct placing *p, int now)
{
    end_lives(p, now);
    for (; p->next_answer < p->n_answers; p->next_answer++) {
        const struct step *answer = &p->steps[p->other[p->next_answer]];
        if (answer->first > now)
            return;
        layout_room_take(&p->room, answer->offset, answer->offset + answer->bytes);
    }
}

/* Places steps one after the other; only those in `few` where that is not NULL.  Returns the end of
 * the highest, or SIZE_MAX as soon as one goes beyond `most`. */
static size_t place_steps(struct placing *p, const int *few, int n, int short_life, size_t top,
                          size_t most)
{
    size_t arena = 0;

    p->room.n = p->n_ended = p->n_answers = p->next_answer = 0;
    if (short_life)
        arena = place_answers(p, top);
    for (int i = 0; i < n; i++) {
        struct step *s = &p->steps[few ? few[i] : i];
        go_to(p, s->first);
        if (short_life && s->is_answer)
            continue;
        const struct layout_room *room = room_for(p, s);
        s->offset = s->last - s->first < short_life ? layout_room_find_high(room, s->bytes, top)
                                                    : layout_room_find_gap(room, s->bytes);
        const size_t end = s->offset + s->bytes;
        if (end > most)
            return SIZE_MAX;
        arena = end > arena ? end : arena;
        if (s->is_met)
            layout_room_take(&p->room, s->offset, end);
    }
    return arena;
}

/* Oldest first: only what is alive needs to be looked at, and none of that overlaps.  Where short
 * lives go above, the answer has its place there, too, from the start, so that nothing that it
 * meets settles in it.  The steps that matter tell what is needed, unless that is below the top:
 * others may reach up to there. */
static void oldest_first(struct placing *p, int short_life, size_t top)
{
    const size_t most = p->arena - 1; /* the top is not above it */
    size_t arena = place_steps(p, p->few, p->n_few, short_life, top, most);

    if (arena < top)
        arena = place_steps(p, NULL, p->n, short_life, top, most);
    if (arena >= p->arena)
        return;
    p->arena = arena;
    p->best_life = short_life;
    p->best_top = top;
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
        oldest_first(p, SHORT_LIFE_OPS, top);
        if (p->arena > top)
            low = top;
    }
}

static void try_orders(struct placing *p, size_t least)
{
    const size_t good = least + least / 256;

    sort(p, is_older);
    list_steps(p);
    oldest_first(p, 0, 0);
    search_top(p, least, good);
    if (p->arena > good && p->n <= MOST_BY_SIZE && largest_first(p, smaller(p->arena - 1, p->most)))
        return;
    if (p->arena > p->most) {
        p->arena = p->most + 1; /* whatever it is */
        for (int i = 0; i < p->n; i++)
            p->blocks[i].offset = 0;
        return;
    }
    (void)place_steps(p, NULL, p->n, p->best_life, p->best_top, SIZE_MAX);
    for (int i = 0; i < p->n; i++)
        p->blocks[p->steps[i].block].offset = p->steps[i].offset;
}

/* Not cleared: what is read was written before.  n: at most the blocks of a graph. */
static void *array(size_t n, size_t item_bytes)
{
    return malloc((n ? n : 1) * item_bytes);
}

static bool make_room(struct placing *p)
{
    const size_t n = (size_t)p->n, by_size = p->n <= MOST_BY_SIZE ? n : 1;

    p->order = array(n, sizeof *p->order);
    p->other = array(n, sizeof *p->other);
    p->ending = array((size_t)p->last + 1, sizeof *p->ending);
    p->steps = array(n, sizeof *p->steps);
    p->few = array(n, sizeof *p->few);
    p->room.taken = array(n, sizeof *p->room.taken);
    p->with.taken = array(n, sizeof *p->with.taken);
    p->placed = array(by_size, sizeof *p->placed);
    p->brief = array((size_t)p->last + 1, sizeof *p->brief);
    p->next_brief = array(by_size, sizeof *p->next_brief);
    return p->order && p->other && p->ending && p->steps && p->few && p->room.taken &&
           p->with.taken && p->placed && p->brief && p->next_brief;
}

static void free_room(struct placing *p)
{
    free(p->order);
    free(p->other);
    free(p->ending);
    free(p->steps);
    free(p->few);
    free(p->room.taken);
    free(p->with.taken);
    free(p->placed);
    free(p->brief);
    free(p->next_brief);
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
