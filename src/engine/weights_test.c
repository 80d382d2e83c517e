#include "base/test.h"
#include "engine/weights.h"

#include <stdlib.h>
#include <string.h>
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

int main(void)
{
    finds_what_it_was_given();
    counts_pages_that_weights_share_once();
    return TEST_END();
}
