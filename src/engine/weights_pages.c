#include "engine/weights_pages.h"

#include "base/assert.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TABLE_CHUNK_BYTES = 64 << 10, /* of tables read by rows: what touching a row may bring */
    POPULATE_BYTES = 4 << 20      /* between two looks at stop */
};

struct chunk {
    uintptr_t first, end;
    int users;
};

struct weights_pages {
    uintptr_t page;
    struct weight_view *views;
    struct weights_pages_use *uses;
    struct weights_span *of; /* by weight - 1 */
    int n;
    struct chunk *chunks; /* by address */
    int n_chunks;
    size_t bytes, used_bytes;
    bool parted;
};

static struct chunk pages_of(const struct weights_pages *p, const struct weight_view *v)
{
    const uintptr_t at = (uintptr_t)v->bytes;
    const size_t bytes = (size_t)v->count * dtype_bytes(v->dtype);
    return (struct chunk){
        .first = at & ~(p->page - 1),
        .end = (at + bytes + p->page - 1) & ~(p->page - 1),
    };
}

static int by_address(const void *a, const void *b)
{
    const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

static int by_first(const void *a, const void *b)
{
    return by_address(&((const struct chunk *)a)->first, &((const struct chunk *)b)->first);
}

/* A weight's pages. */
struct area {
    struct chunk pages;
    int weight; /* less 1 */
};

static int by_begin(const void *a, const void *b)
{
    return by_first(&((const struct area *)a)->pages, &((const struct area *)b)->pages);
}

/* Addresses where chunks end; counts without a list. */
struct cuts {
    uintptr_t *at;
    size_t n;
};

static void add_cut(struct cuts *c, uintptr_t at)
{
    if (c->at)
        c->at[c->n] = at;
    c->n++;
}

/* Both sides of the page that two pieces share. */
static void add_pieces(struct cuts *c, const struct weights_pages *p, int i)
{
    const struct weights_pages_use *u = &p->uses[i];
    const size_t all = (size_t)p->views[i].count * dtype_bytes(p->views[i].dtype);
    const uintptr_t begin = (uintptr_t)p->views[i].bytes;

    for (size_t half = 0; u->piece_bytes && half < all; half += u->half_bytes)
        for (size_t at = 0; at < u->half_bytes && half + at < all; at += u->piece_bytes) {
            const uintptr_t edge = begin + half + at;
            add_cut(c, edge & ~(p->page - 1));
            add_cut(c, (edge + p->page - 1) & ~(p->page - 1));
        }
}

/* Where weights begin and end, and their pieces, and steps through tables. */
static void list_cuts(struct cuts *c, const struct weights_pages *p, const struct area *areas)
{
    c->n = 0;
    for (int k = 0; k < p->n; k++) {
        const struct chunk w = areas[k].pages;
        const int i = areas[k].weight;
        uintptr_t at = w.first;
        do {
            add_cut(c, at);
            at = p->uses[i].by_row ? (at / TABLE_CHUNK_BYTES + 1) * TABLE_CHUNK_BYTES : w.end;
        } while (at < w.end);
        add_cut(c, w.end);
        add_pieces(c, p, i);
    }
}

/* Weights that share no more than a page leave little to sort; a file may lie. */
static void sort_cuts(struct cuts *c)
{
    size_t moves = 0;

    for (size_t i = 1; i < c->n && moves <= 8 * c->n; i++) {
        const uintptr_t at = c->at[i];
        size_t k = i;
        for (; k > 0 && c->at[k - 1] > at; k--, moves++)
            c->at[k] = c->at[k - 1];
        c->at[k] = at;
    }
    if (moves > 8 * c->n)
        qsort(c->at, c->n, sizeof *c->at, by_address);
}

/* Chunks lie between neighbouring cuts, where there is a weight. */
static void make_chunks(struct weights_pages *p, const uintptr_t *cuts, size_t n_cuts,
                        const struct area *areas)
{
    uintptr_t covered = 0; /* end of the weights that begin at or before the cut */
    int w = 0;

    for (size_t i = 0; i + 1 < n_cuts; i++) {
        for (; w < p->n && areas[w].pages.first <= cuts[i]; w++)
            covered = areas[w].pages.end > covered ? areas[w].pages.end : covered;
        if (cuts[i] == cuts[i + 1] || covered <= cuts[i])
            continue;
        p->chunks[p->n_chunks++] = (struct chunk){.first = cuts[i], .end = cuts[i + 1]};
        p->bytes += cuts[i + 1] - cuts[i];
    }
}

static int find_chunk(const struct weights_pages *p, uintptr_t first)
{
    const struct chunk key = {.first = first};
    const struct chunk *c =
        bsearch(&key, p->chunks, (size_t)p->n_chunks, sizeof *p->chunks, by_first);
    ASSERT(c);
    return (int)(c - p->chunks);
}

/* From the chunk that begins at `first` to the one that ends at `end`. */
static struct weights_span span_of(const struct weights_pages *p, uintptr_t first, uintptr_t end)
{
    struct weights_span s = {.first = find_chunk(p, first)};

    for (s.end = s.first; s.end < p->n_chunks && p->chunks[s.end].first < end; s.end++)
        ;
    return s;
}

static bool cut(struct weights_pages *p, struct error *err)
{
    struct cuts cuts = {0};
    const size_t n = (size_t)p->n;
    struct area *areas = calloc(n + 1, sizeof *areas);

    if (areas) {
        for (int i = 0; i < p->n; i++)
            areas[i] = (struct area){pages_of(p, &p->views[i]), i};
        qsort(areas, n, sizeof *areas, by_begin);
        list_cuts(&cuts, p, areas);
        cuts.at = calloc(cuts.n + 1, sizeof *cuts.at);
        p->chunks = calloc(cuts.n + 1, sizeof *p->chunks);
    }
    const bool ok = areas && cuts.at && p->chunks;
    if (ok) {
        list_cuts(&cuts, p, areas);
        sort_cuts(&cuts);
        make_chunks(p, cuts.at, cuts.n, areas);
        for (int i = 0; i < p->n; i++)
            p->of[areas[i].weight] = span_of(p, areas[i].pages.first, areas[i].pages.end);
    }
    free(cuts.at);
    free(areas);
    return ok || error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", p->n);
}

bool weights_pages_new(struct weights_pages **out, const struct weight_view *views,
                       const struct weights_pages_use *uses, int n, struct error *err)
{
    struct weights_pages *p = calloc(1, sizeof *p);
    const size_t room = n ? (size_t)n : 1;

    if (p) {
        p->page = (uintptr_t)sysconf(_SC_PAGESIZE);
        p->n = n;
        p->views = calloc(room, sizeof *p->views);
        p->uses = calloc(room, sizeof *p->uses);
        p->of = calloc(room, sizeof *p->of);
    }
    if (!p || !p->views || !p->uses || !p->of) {
        weights_pages_free(p);
        return error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", n);
    }
    for (int i = 0; i < n; i++) {
        p->views[i] = views[i];
        p->uses[i] = uses[i];
    }
    if (!cut(p, err)) {
        weights_pages_free(p);
        return false;
    }
    *out = p;
    return true;
}

void weights_pages_free(struct weights_pages *p)
{
    if (!p)
        return;
    if (p->chunks)
        weights_pages_rejoin(p);
    free(p->views);
    free(p->uses);
    free(p->of);
    free(p->chunks);
    free(p);
}

size_t weights_pages_bytes(const struct weights_pages *p)
{
    return p->bytes;
}

size_t weights_pages_used_bytes(const struct weights_pages *p)
{
    return p->used_bytes;
}

size_t weights_pages_weight_bytes(const struct weights_pages *p, int weight)
{
    const struct weight_view *v = &p->views[weight - 1];
    return (size_t)v->count * dtype_bytes(v->dtype);
}

size_t weights_pages_row_bytes(const struct weights_pages *p, int weight, int64_t rows)
{
    const struct chunk w = pages_of(p, &p->views[weight - 1]);
    const size_t whole = w.end - w.first;
    /* A row may begin in one chunk and end in another. */
    return (size_t)rows < whole / (2 * TABLE_CHUNK_BYTES) ? (size_t)rows * 2 * TABLE_CHUNK_BYTES
                                                          : whole;
}

struct weights_span weights_pages_find(const struct weights_pages *p, int weight)
{
    return p->of[weight - 1];
}

struct weights_span weights_pages_find_piece(const struct weights_pages *p, int weight, size_t from,
                                             size_t to)
{
    const uintptr_t begin = (uintptr_t)p->views[weight - 1].bytes;
    return span_of(p, (begin + from) & ~(p->page - 1), begin + to);
}

void weights_pages_add_user(struct weights_pages *p, struct weights_span s)
{
    for (int i = s.first; i < s.end; i++) {
        if (p->chunks[i].users++ == 0)
            p->used_bytes += p->chunks[i].end - p->chunks[i].first;
    }
}

void weights_pages_remove_user(struct weights_pages *p, struct weights_span s)
{
    for (int i = s.first; i < s.end; i++) {
        ASSERT(p->chunks[i].users > 0);
        if (--p->chunks[i].users == 0)
            p->used_bytes -= p->chunks[i].end - p->chunks[i].first;
    }
}

void weights_pages_forget_users(struct weights_pages *p)
{
    for (int i = 0; i < p->n_chunks; i++)
        p->chunks[i].users = 0;
    p->used_bytes = 0;
}

/* Gives advice on chunks that touch each other in one call. */
static void advise(const struct weights_pages *p, struct weights_span s, int advice)
{
    for (int i = s.first, next; i < s.end; i = next) {
        for (next = i + 1; next < s.end; next++) {
            if (p->chunks[next].first != p->chunks[next - 1].end)
                break;
        }
        /* Advice that the system refuses costs speed or memory, never correctness. */
        (void)madvise((void *)p->chunks[i].first, p->chunks[next - 1].end - p->chunks[i].first,
                      advice);
    }
}

/* Clean pages of a private file mapping: dropping them loses nothing. */
void weights_pages_drop(struct weights_pages *p, struct weights_span s)
{
    for (int i = s.first, next; i < s.end; i = next) {
        for (next = i; next < s.end && p->chunks[next].users == 0; next++)
            ;
        advise(p, (struct weights_span){i, next}, MADV_DONTNEED);
        next += next == i;
    }
}

void weights_pages_drop_all(struct weights_pages *p)
{
    advise(p, (struct weights_span){0, p->n_chunks}, MADV_DONTNEED);
}

static void populate(uintptr_t first, uintptr_t end, uintptr_t page)
{
#ifdef MADV_POPULATE_READ /* since Linux 5.14 */
    if (madvise((void *)first, end - first, MADV_POPULATE_READ) == 0)
        return;
#endif
    for (uintptr_t at = first; at < end; at += page)
        (void)*(const volatile unsigned char *)at;
}

void weights_pages_populate(const struct weights_pages *p, struct weights_span s,
                            const atomic_bool *stop)
{
    if (s.first == s.end)
        return;
    const struct chunk w = {.first = p->chunks[s.first].first, .end = p->chunks[s.end - 1].end};

    /* First from the disk to the page cache, in large reads. */
    (void)madvise((void *)w.first, w.end - w.first, MADV_WILLNEED);
    for (uintptr_t at = w.first; at < w.end && !atomic_load(stop);) {
        const uintptr_t next = w.end - at > POPULATE_BYTES ? at + POPULATE_BYTES : w.end;
        populate(at, next, p->page);
        at = next;
    }
}

/* A fault maps what is cached around it, up to a huge page (Linux 6.18), whatever the advice: only
 * the borders of the system's own areas stop it.  Neighbours with different advice are different
 * areas. */
void weights_pages_part(struct weights_pages *p)
{
    if (p->parted)
        return;
    for (int i = 0; i < p->n_chunks; i++)
        advise(p, (struct weights_span){i, i + 1}, i % 2 ? MADV_SEQUENTIAL : MADV_RANDOM);
    p->parted = true;
}

void weights_pages_rejoin(struct weights_pages *p)
{
    if (!p->parted)
        return;
    advise(p, (struct weights_span){0, p->n_chunks}, MADV_NORMAL);
    p->parted = false;
}
