/* The placing of blocks against the same rules in plain loops: every block is held against every
 * other one. */
#include "base/test.h"
#include "engine/layout_place.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BLOCKS = 1200, SHORT_LIFE_OPS = 20, TRIES = 5, BY_SIZE = 1 << 10, ALIGN = 64 };

/* The rules, over again. */
struct plain {
    struct layout_block blocks[MOST_BLOCKS];
    int n, last;
    int order[MOST_BLOCKS];
    bool placed[MOST_BLOCKS];
    size_t best[MOST_BLOCKS], arena;
};

static struct plain plain; /* too large for a stack */

static bool comes_before(const struct layout_block *a, const struct layout_block *b, bool by_size)
{
    if (by_size || a->first == b->first)
        return a->bytes > b->bytes;
    return a->first < b->first;
}

/* By insertion, so that equal blocks keep their order. */
static void sort(bool by_size)
{
    for (int i = 0; i < plain.n; i++) {
        int at = i;
        for (;
             at > 0 && comes_before(&plain.blocks[i], &plain.blocks[plain.order[at - 1]], by_size);
             at--)
            plain.order[at] = plain.order[at - 1];
        plain.order[at] = i;
    }
}

static bool meets(const struct layout_block *a, const struct layout_block *b)
{
    return a->last >= b->first && a->first <= b->last;
}

static bool is_free(const struct layout_block *block, size_t at)
{
    for (int i = 0; i < plain.n; i++) {
        const struct layout_block *other = &plain.blocks[i];
        if (plain.placed[i] && meets(block, other) && at < other->offset + other->bytes &&
            other->offset < at + block->bytes)
            return false;
    }
    return true;
}

/* Where what is placed and meets the block begins next, from `at` up; SIZE_MAX: nowhere. */
static size_t next_begin(const struct layout_block *block, size_t at)
{
    size_t next = SIZE_MAX;
    for (int i = 0; i < plain.n; i++) {
        const struct layout_block *other = &plain.blocks[i];
        if (plain.placed[i] && meets(block, other) && other->offset >= at && other->offset < next)
            next = other->offset;
    }
    return next;
}

/* The candidates of a gap: the bottom and the ends of others. */
static size_t find_gap(const struct layout_block *block)
{
    size_t best = SIZE_MAX, best_gap = SIZE_MAX, above = 0;

    for (int i = -1; i < plain.n; i++) {
        const struct layout_block *other = i < 0 ? NULL : &plain.blocks[i];
        if (other && (!plain.placed[i] || !meets(block, other)))
            continue;
        const size_t at = other ? other->offset + other->bytes : 0;
        above = at > above ? at : above;
        const size_t next = next_begin(block, at);
        if (next == SIZE_MAX || !is_free(block, at))
            continue;
        if (next - at < best_gap || (next - at == best_gap && at < best)) {
            best = at;
            best_gap = next - at;
        }
    }
    return best != SIZE_MAX ? best : above;
}

static size_t find_high(const struct layout_block *block, size_t top)
{
    size_t best = SIZE_MAX, above = top;

    for (int i = -1; i < plain.n; i++) {
        const struct layout_block *other = i < 0 ? NULL : &plain.blocks[i];
        if (other && (!plain.placed[i] || !meets(block, other)))
            continue;
        const size_t end = other ? other->offset : top;
        if (other && other->offset + other->bytes > above)
            above = other->offset + other->bytes;
        if (end <= top && end >= block->bytes && is_free(block, end - block->bytes) &&
            (best == SIZE_MAX || end - block->bytes > best))
            best = end - block->bytes;
    }
    return best != SIZE_MAX ? best : above;
}

static bool is_answer(const struct layout_block *block)
{
    return block->last == plain.last && block->first > 0;
}

static void place(int i, size_t offset)
{
    plain.blocks[i].offset = offset;
    plain.placed[i] = true;
}

static void keep_if_best(void)
{
    size_t arena = 0;
    for (int i = 0; i < plain.n; i++) {
        const size_t end = plain.blocks[i].offset + plain.blocks[i].bytes;
        arena = end > arena ? end : arena;
    }
    if (arena >= plain.arena)
        return;
    plain.arena = arena;
    for (int i = 0; i < plain.n; i++)
        plain.best[i] = plain.blocks[i].offset;
}

static void place_all(bool by_size, int short_life, size_t top)
{
    sort(by_size);
    memset(plain.placed, 0, sizeof plain.placed);
    for (int i = 0; i < plain.n && short_life; i++)
        if (is_answer(&plain.blocks[plain.order[i]]))
            place(plain.order[i], find_high(&plain.blocks[plain.order[i]], top));
    for (int i = 0; i < plain.n; i++) {
        const struct layout_block *block = &plain.blocks[plain.order[i]];
        if (!plain.placed[plain.order[i]])
            place(plain.order[i], block->last - block->first < short_life ? find_high(block, top)
                                                                          : find_gap(block));
    }
    keep_if_best();
}

static size_t least_bytes(void)
{
    size_t most = 0;
    for (int op = 0; op <= plain.last; op++) {
        size_t alive = 0;
        for (int i = 0; i < plain.n; i++)
            if (plain.blocks[i].first <= op && plain.blocks[i].last >= op)
                alive += plain.blocks[i].bytes;
        most = alive > most ? alive : most;
    }
    return most;
}

static void place_plainly(const struct layout_block *blocks, int n)
{
    plain = (struct plain){.n = n, .arena = SIZE_MAX};
    memcpy(plain.blocks, blocks, (size_t)n * sizeof *blocks);
    for (int i = 0; i < n; i++)
        plain.last = blocks[i].last > plain.last ? blocks[i].last : plain.last;
    const size_t least = least_bytes(), good = least + least / 256;
    size_t low = least;

    place_all(false, 0, 0);
    for (int i = 0; i < TRIES && plain.arena > good; i++) {
        const size_t top =
            i ? (low + (plain.arena - low) / 2) / ALIGN * ALIGN : least / ALIGN * ALIGN;
        place_all(false, SHORT_LIFE_OPS, top);
        if (plain.arena > top)
            low = top;
    }
    if (plain.arena > good && n <= BY_SIZE)
        place_all(true, 0, 0);
}

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(*state >> 8) * n) >> 24);
}

/* Tensors of all ages, a few that stay to the end, and a workspace for most ops. */
static int make_blocks(struct layout_block *blocks, uint32_t seed, int n_ops)
{
    uint32_t state = seed;
    int n = 0;

    for (int op = 0; op < n_ops; op++) {
        const uint32_t kind = random_below(&state, 16);
        const int life = kind == 0 ? n_ops : (int)random_below(&state, kind < 4 ? 60 : 6);
        blocks[n++] =
            (struct layout_block){op, op + life < n_ops ? op + life : n_ops - 1 + (kind == 0),
                                  ALIGN * (1 + random_below(&state, seed % 3 ? 200 : 4)), 0};
    }
    for (int op = 0; op < n_ops; op++)
        if (random_below(&state, 8))
            blocks[n++] = (struct layout_block){op, op, ALIGN * (1 + random_below(&state, 50)), 0};
    return n;
}

static void places_as_plain_loops_do(void)
{
    static struct layout_block blocks[MOST_BLOCKS];

    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct error err = {0};
        size_t arena = 0;
        const int n = make_blocks(blocks, seed, seed <= 56 ? (int)seed : 580);
        place_plainly(blocks, n);
        CHECK(layout_place(blocks, n, 0, &arena, &err) && arena == plain.arena);
        int same = 0;
        for (int i = 0; i < n; i++)
            same += blocks[i].offset == plain.best[i];
        CHECK(same == n);
    }
}

static void places_nothing(void)
{
    struct error err = {0};
    size_t arena = 1;
    CHECK(layout_place(NULL, 0, 0, &arena, &err) && arena == 0);
}

int main(void)
{
    places_as_plain_loops_do();
    places_nothing();
    return TEST_END();
}
