#include "engine/weights_merge.h"

#include "base/assert.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Threads that bring different pieces do not wait for each other: their page tables differ. */
enum { PIECE_BYTES = 2 << 20 };

struct weights_merge {
    struct own {
        bool merged;
        enum dtype stored; /* in the file */
    } * of;                /* by weight - 1 */
    int n, n_merged;
    bool shares_bytes; /* some weight with another one */
};

/* Bytes, or whole pages: those that a weight touches, or those that nothing else does. */
struct range {
    uintptr_t first, end;
};

static struct range bytes_of(const struct weight_view *v)
{
    const uintptr_t at = (uintptr_t)v->bytes;
    return (struct range){at, at + (size_t)v->count * dtype_bytes(v->dtype)};
}

static int by_first(const void *a, const void *b)
{
    const uintptr_t x = ((const struct range *)a)->first, y = ((const struct range *)b)->first;
    return (x > y) - (x < y);
}

/* Of sorted ranges. */
static bool any_overlap(const struct range *ranges, int n)
{
    for (int i = 1; i < n; i++)
        if (ranges[i].first < ranges[i - 1].end)
            return true;
    return false;
}

struct weights_merge *weights_merge_new(const struct weight_view *views, int n)
{
    const size_t room = n ? (size_t)n : 1;
    struct weights_merge *m = calloc(1, sizeof *m);
    struct range *ranges = calloc(room, sizeof *ranges);

    if (m)
        m->of = calloc(room, sizeof *m->of);
    if (!m || !m->of || !ranges) {
        free(ranges);
        weights_merge_free(m);
        return NULL;
    }
    m->n = n;
    for (int i = 0; i < n; i++)
        ranges[i] = bytes_of(&views[i]);
    qsort(ranges, (size_t)n, sizeof *ranges, by_first);
    m->shares_bytes = any_overlap(ranges, n);
    free(ranges);
    return m;
}

void weights_merge_free(struct weights_merge *m)
{
    if (!m)
        return;
    free(m->of);
    free(m);
}

static struct range pages_of(const struct weight_view *v, bool alone)
{
    const uintptr_t up = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    const struct range b = bytes_of(v);

    return alone ? (struct range){(b.first + up) & ~up, b.end & ~up}
                 : (struct range){b.first & ~up, (b.end + up) & ~up};
}

static bool protect(const struct weight_view *v, int protection)
{
    const struct range p = pages_of(v, false);

    return mprotect((void *)p.first, p.end - p.first, protection) == 0;
}

bool weights_merge_open(const struct weights_merge *m, const struct weight_view *v)
{
#ifdef __linux__
    return !m->shares_bytes && protect(v, PROT_READ | PROT_WRITE);
#else
    /* There MADV_DONTNEED keeps what was written. */
    (void)m;
    (void)v;
    return false;
#endif
}

#ifdef MADV_POPULATE_WRITE /* since Linux 5.14 */
/* Pieces end at multiples of their size. */
static struct range piece_of(const struct weight_view *v, int piece)
{
    const struct range all = pages_of(v, true);
    struct range p = {(all.first / PIECE_BYTES + (uintptr_t)piece) * PIECE_BYTES, 0};

    p.end = p.first + PIECE_BYTES < all.end ? p.first + PIECE_BYTES : all.end;
    p.first = p.first > all.first ? p.first : all.first;
    return p;
}
#endif

int weights_merge_pieces(const struct weight_view *v)
{
    const struct range all = pages_of(v, true);

    return all.first >= all.end ? 0
                                : (int)((all.end - 1) / PIECE_BYTES - all.first / PIECE_BYTES) + 1;
}

/* Writing to a page that is mapped already interrupts every processor, page by page: it took ten
 * times as long as forgetting the page first (Linux 6.18, two virtual processors). */
void weights_merge_bring(const struct weight_view *v, int piece)
{
#ifdef MADV_POPULATE_WRITE
    const struct range p = piece_of(v, piece);

    (void)madvise((void *)p.first, p.end - p.first, MADV_DONTNEED);
    (void)madvise((void *)p.first, p.end - p.first, MADV_POPULATE_WRITE);
#else
    (void)v;
    (void)piece;
#endif
}

void weights_merge_close(struct weights_merge *m, int weight, struct weight_view *v)
{
    ASSERT(weight >= 1 && weight <= m->n && !m->of[weight - 1].merged);
    (void)protect(v, PROT_READ); /* a guard against mistakes, no more */
    m->of[weight - 1] = (struct own){.merged = true, .stored = v->dtype};
    m->n_merged++;
    v->dtype = weights_merged_dtype(v->dtype);
}

bool weights_merge_has(const struct weights_merge *m, int weight)
{
    ASSERT(weight >= 1 && weight <= m->n);
    return m->of[weight - 1].merged;
}

bool weights_merge_has_any(const struct weights_merge *m)
{
    return m->n_merged > 0;
}

void weights_merge_forget(struct weights_merge *m, struct weight_view *views)
{
    for (int i = 0; i < m->n; i++)
        if (m->of[i].merged) {
            views[i].dtype = m->of[i].stored;
            m->of[i].merged = false;
        }
    m->n_merged = 0;
}
