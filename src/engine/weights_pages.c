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

struct span {
    int first, end; /* chunks */
};

struct weights_pages {
    uintptr_t page;
    struct weight_view *views;
    bool *by_row;
    struct span *of; /* by weight - 1 */
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

/* Where weights begin and end, and steps through tables.  With cuts NULL only counts. */
static size_t list_cuts(const struct weights_pages *p, uintptr_t *cuts)
{
    size_t n = 0;
    for (int i = 0; i < p->n; i++) {
        const struct chunk w = pages_of(p, &p->views[i]);
        uintptr_t at = w.first;
        do {
            if (cuts)
                cuts[n] = at;
            n++;
            at = p->by_row[i] ? (at / TABLE_CHUNK_BYTES + 1) * TABLE_CHUNK_BYTES : w.end;
        } while (at < w.end);
        if (cuts)
            cuts[n] = w.end;
        n++;
    }
    return n;
}

/* Chunks lie between neighbouring cuts, where there is a weight. */
static void make_chunks(struct weights_pages *p, const uintptr_t *cuts, size_t n_cuts,
                        const struct chunk *weights)
{
    uintptr_t covered = 0; /* end of the weights that begin at or before the cut */
    int w = 0;

    for (size_t i = 0; i + 1 < n_cuts; i++) {
        for (; w < p->n && weights[w].first <= cuts[i]; w++)
            covered = weights[w].end > covered ? weights[w].end : covered;
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

static bool cut(struct weights_pages *p, struct error *err)
{
    const size_t n_cuts = list_cuts(p, NULL), n = (size_t)p->n;
    uintptr_t *cuts = calloc(n_cuts + 1, sizeof *cuts);
    struct chunk *weights = calloc(n + 1, sizeof *weights);
    p->chunks = calloc(n_cuts + 1, sizeof *p->chunks);
    const bool ok = cuts && weights && p->chunks;

    if (ok) {
        list_cuts(p, cuts);
        qsort(cuts, n_cuts, sizeof *cuts, by_address);
        for (int i = 0; i < p->n; i++)
            weights[i] = pages_of(p, &p->views[i]);
        qsort(weights, n, sizeof *weights, by_first);
        make_chunks(p, cuts, n_cuts, weights);
        for (int i = 0; i < p->n; i++) {
            const struct chunk w = pages_of(p, &p->views[i]);
            p->of[i].first = find_chunk(p, w.first);
            for (p->of[i].end = p->of[i].first; p->of[i].end < p->n_chunks; p->of[i].end++) {
                if (p->chunks[p->of[i].end].first >= w.end)
                    break;
            }
        }
    }
    free(cuts);
    free(weights);
    return ok || error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", p->n);
}

bool weights_pages_new(struct weights_pages **out, const struct weight_view *views,
                       const bool *by_row, int n, struct error *err)
{
    struct weights_pages *p = calloc(1, sizeof *p);
    const size_t room = n ? (size_t)n : 1;

    if (p) {
        p->page = (uintptr_t)sysconf(_SC_PAGESIZE);
        p->n = n;
        p->views = calloc(room, sizeof *p->views);
        p->by_row = calloc(room, sizeof *p->by_row);
        p->of = calloc(room, sizeof *p->of);
    }
    if (!p || !p->views || !p->by_row || !p->of) {
        weights_pages_free(p);
        return error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", n);
    }
    for (int i = 0; i < n; i++) {
        p->views[i] = views[i];
        p->by_row[i] = by_row[i];
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
    free(p->by_row);
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

void weights_pages_add_user(struct weights_pages *p, int weight)
{
    for (int i = p->of[weight - 1].first; i < p->of[weight - 1].end; i++) {
        if (p->chunks[i].users++ == 0)
            p->used_bytes += p->chunks[i].end - p->chunks[i].first;
    }
}

void weights_pages_remove_user(struct weights_pages *p, int weight)
{
    for (int i = p->of[weight - 1].first; i < p->of[weight - 1].end; i++) {
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
static void advise(const struct weights_pages *p, struct span s, int advice)
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
void weights_pages_drop(struct weights_pages *p, int weight)
{
    const struct span s = p->of[weight - 1];
    for (int i = s.first, next; i < s.end; i = next) {
        for (next = i; next < s.end && p->chunks[next].users == 0; next++)
            ;
        advise(p, (struct span){i, next}, MADV_DONTNEED);
        next += next == i;
    }
}

void weights_pages_drop_all(struct weights_pages *p)
{
    advise(p, (struct span){0, p->n_chunks}, MADV_DONTNEED);
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

void weights_pages_populate(const struct weights_pages *p, int weight, const atomic_bool *stop)
{
    const struct chunk w = pages_of(p, &p->views[weight - 1]);

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
        advise(p, (struct span){i, i + 1}, i % 2 ? MADV_SEQUENTIAL : MADV_RANDOM);
    p->parted = true;
}

void weights_pages_rejoin(struct weights_pages *p)
{
    if (!p->parted)
        return;
    advise(p, (struct span){0, p->n_chunks}, MADV_NORMAL);
    p->parted = false;
}
