#include "base/test.h"
#include "engine/weights.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct graph *graph_of(int n_weights)
{
    struct graph *g = graph_new();
    const int64_t dims[] = {1};

    for (int i = 0; i < n_weights; i++)
        graph_weight(g, 1, dims, "w%d", i);
    return g;
}

static void finds_what_it_was_given(void)
{
    static const unsigned char bytes[64] = {1};
    const struct weight_view views[2] = {{bytes, DTYPE_F32, 3}, {bytes + 13, DTYPE_BF16, 5}};
    struct graph *g = graph_of(2);
    struct weights *w = NULL;
    struct error err = {0};

    CHECK(weights_from_views(&w, g, views, &err));
    if (w) {
        CHECK(weights_find(w, 1)->bytes == bytes && weights_find(w, 1)->dtype == DTYPE_F32);
        CHECK(weights_find(w, 2)->bytes == bytes + 13 && weights_find(w, 2)->count == 5);
        CHECK(weights_bytes(w) == 3 * 4 + 5 * 2);
        weights_drop(w); /* nothing of a file: nothing happens */
        CHECK(bytes[0] == 1);
    }
    weights_free(w);
    weights_free(NULL);
    graph_free(g);
}

/* Against a list of pages, each marked by the bytes that touch it. */
static void counts_pages_that_weights_share_once(void)
{
    enum { WEIGHTS = 40, PAGES = 64 };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *memory = aligned_alloc(page, PAGES * page);
    struct weight_view views[WEIGHTS];
    bool touched[PAGES] = {0};
    size_t n_touched = 0, n_bytes = 0;
    uint32_t random = 5;
    struct graph *g = graph_of(WEIGHTS);
    struct weights *w = NULL;
    struct error err = {0};

    for (int i = 0; i < WEIGHTS; i++) {
        random = random * 1664525u + 1013904223u;
        const size_t at = (random >> 8) % ((PAGES - 3) * page), count = 1 + (random >> 4) % page;
        views[i] = (struct weight_view){memory + at, i % 2 ? DTYPE_F16 : DTYPE_F32,
                                        (int64_t)count / 2 + 1};
        const size_t bytes = (count / 2 + 1) * (i % 2 ? 2 : 4);
        n_bytes += bytes;
        for (size_t p = at / page; p <= (at + bytes - 1) / page; p++)
            touched[p] = true;
    }
    for (int p = 0; p < PAGES; p++)
        n_touched += touched[p];
    CHECK(n_touched > 20 && n_touched < PAGES);
    CHECK(memory && weights_from_mapping(&w, g, views, &err) &&
          weights_set_orders(w, g, NULL, &err));
    CHECK(w && weights_bytes(w) == n_bytes && weights_resident_bytes(w) == n_touched * page);
    weights_free(w);
    graph_free(g);
    free(memory);
}

enum { MERGED_COUNT = 300000, MERGED_AT = 1001, MERGED_WEIGHTS = 3 };

/* Three weights in a private mapping of a file of ones, in a page more than they need; the first
 * two, of bfloat16 and float32, have a delta each. */
struct merging {
    struct graph *g;
    struct weights *w;
    FILE *file;
    unsigned char *bytes;
    size_t n;
    struct weight_view views[MERGED_WEIGHTS];
};

/* shared: bytes that the second weight's begin shares with the first one's end. */
static void open_merging(struct merging *m, enum weights_policy policy, size_t shared)
{
    static const float one[1] = {1};
    const int64_t dims[] = {MERGED_COUNT, 1};
    const struct weight_view v = {one, DTYPE_F32, 1};
    const struct weight_delta delta = {.up = v, .down = v, .rank = 1, .factor = 1};
    struct error err = {0};

    *m = (struct merging){.g = graph_new(), .file = tmpfile()};
    const int x = graph_input(m->g, (struct graph_shape){1, 1, 1, 1});
    for (int i = 0; i < MERGED_WEIGHTS; i++) {
        const struct graph_conv op = {.in.x = x,
                                      .weight = graph_weight(m->g, 2, dims, "w%d", i),
                                      .out_c = MERGED_COUNT,
                                      .kernel = 1,
                                      .stride = 1};
        m->views[i].dtype = i == 1 ? DTYPE_F32 : DTYPE_BF16;
        m->views[i].count = MERGED_COUNT;
        (void)graph_conv(m->g, &op);
        m->n += MERGED_COUNT * dtype_bytes(m->views[i].dtype);
    }
    CHECK(graph_check(m->g, &err) && m->file);
    for (size_t i = 0; i < MERGED_AT + m->n; i++)
        fputc(1, m->file);
    CHECK(fflush(m->file) == 0);
    m->bytes = mmap(NULL, MERGED_AT + m->n, PROT_READ, MAP_PRIVATE, fileno(m->file), 0);
    CHECK(m->bytes != MAP_FAILED);
    size_t at = MERGED_AT;
    for (int i = 0; i < MERGED_WEIGHTS; i++) {
        m->views[i].bytes = m->bytes + at - (i == 1 ? shared : 0);
        at += MERGED_COUNT * dtype_bytes(m->views[i].dtype);
    }
    CHECK(weights_from_mapping(&m->w, m->g, m->views, &err) &&
          weights_set_orders(m->w, m->g, NULL, &err));
    for (int i = 1; i < MERGED_WEIGHTS; i++)
        CHECK(graph_add_rank(m->g, i, 1) && weights_add_delta(m->w, i, &delta, &err));
    weights_set_policy(m->w, policy);
}

static void close_merging(struct merging *m)
{
    weights_free(m->w);
    graph_free(m->g);
    munmap(m->bytes, MERGED_AT + m->n);
    fclose(m->file);
}

/* Bytes of the mapping that are not the file's. */
static size_t count_changed(const struct merging *m)
{
    size_t n = 0;
    for (size_t i = 0; i < MERGED_AT + m->n; i++)
        n += m->bytes[i] != 1;
    return n;
}

static void merge(struct merging *m, int weight)
{
    const struct weight_view *v = &m->views[weight - 1];
    unsigned char *to = weights_merge_begin(m->w, weight);

    CHECK(to && to == v->bytes);
    for (int i = 0; i < weights_merge_tasks(m->w, weight); i++)
        weights_merge_bring_pages(m->w, weight, i);
    /* What brings pages changes nothing, in them or in those that another weight shares. */
    for (size_t i = 0; i < MERGED_COUNT * dtype_bytes(v->dtype); i++)
        CHECK(((const unsigned char *)v->bytes)[i] == 1);
    if (to)
        memset(to, 7, MERGED_COUNT * dtype_bytes(v->dtype));
    weights_merge_end(m->w, weight);
}

#ifdef __linux__
enum { CAN_MERGE = true };
#else
enum { CAN_MERGE = false };
#endif

static void merges_in_its_own_pages_alone(void)
{
    const struct weight_delta *deltas;
    struct merging m;

    open_merging(&m, WEIGHTS_MERGED, 0);
    CHECK(weights_delta_target_bytes(m.w) == MERGED_COUNT * (2 + 4));
    CHECK(!weights_merge_begin(m.w, 3)); /* has no delta */
    const size_t resident = weights_resident_bytes(m.w);
    merge(&m, 2);
    CHECK(count_changed(&m) == MERGED_COUNT * 4);
    merge(&m, 1);
    CHECK(count_changed(&m) == MERGED_COUNT * (2 + 4)); /* the page that they share has both */
    CHECK(!weights_merge_begin(m.w, 1));                /* once is enough */
    CHECK(weights_resident_bytes(m.w) == resident);
    CHECK(weights_find(m.w, 1)->dtype == DTYPE_F16 && weights_find(m.w, 2)->dtype == DTYPE_F32);
    CHECK(weights_find_deltas(m.w, 1, &deltas) == 0 && weights_find_deltas(m.w, 2, &deltas) == 0);
    rewind(m.file);
    for (size_t i = 0; i < MERGED_AT + m.n; i++)
        CHECK(fgetc(m.file) == 1);

    weights_restore(m.w);
    CHECK(count_changed(&m) == 0);
    CHECK(weights_find(m.w, 1)->dtype == DTYPE_BF16 && weights_find_deltas(m.w, 1, &deltas) == 1);
    merge(&m, 1); /* and again */
    weights_set_policy(m.w, WEIGHTS_HELD);
    CHECK(count_changed(&m) == 0 && !weights_merge_begin(m.w, 1));
    weights_set_policy(m.w, WEIGHTS_MERGED);
    merge(&m, 2);
    weights_free(m.w);
    m.w = NULL;
    CHECK(count_changed(&m) == 0);
    close_merging(&m);
}

static void merges_only_where_it_is_told(void)
{
    static const enum weights_policy policies[] = {WEIGHTS_HELD, WEIGHTS_STREAMED};
    struct merging m;

    for (int i = 0; i < 2; i++) {
        open_merging(&m, policies[i], 0);
        CHECK(!weights_merge_begin(m.w, 1));
        weights_restore(m.w); /* nothing to do */
        close_merging(&m);
    }
    open_merging(&m, WEIGHTS_MERGED, 1); /* a byte that two weights have */
    CHECK(!weights_merge_begin(m.w, 1) && !weights_merge_begin(m.w, 2));
    CHECK(count_changed(&m) == 0);
    close_merging(&m);
}

int main(void)
{
    finds_what_it_was_given();
    counts_pages_that_weights_share_once();
    if (CAN_MERGE)
        merges_in_its_own_pages_alone();
    merges_only_where_it_is_told();
    return TEST_END();
}
