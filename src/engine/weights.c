#include "engine/weights.h"

#include "base/assert.h"
#include "engine/weights_deltas.h"
#include "engine/weights_stream.h"

#include <stdlib.h>

struct weights {
    struct weight_view *views; /* by number - 1 */
    int n;
    size_t bytes;
    enum weights_policy policy;
    struct weights_pages *pages; /* NULL unless the views lie in mapped files */
    struct weights_stream *stream;
    struct weights_deltas *deltas; /* NULL: none */
};

static struct weights *new_weights(const struct graph *g, struct error *err)
{
    int n = graph_n_weights(g);
    struct weights *w = calloc(1, sizeof *w);

    if (w)
        w->views = calloc(n ? (size_t)n : 1, sizeof *w->views);
    if (!w || !w->views) {
        weights_free(w);
        error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", n);
        return NULL;
    }
    w->n = n;
    return w;
}

bool weights_from_views(struct weights **out, const struct graph *g,
                        const struct weight_view *views, struct error *err)
{
    struct weights *w = new_weights(g, err);
    if (!w)
        return false;
    for (int i = 0; i < w->n; i++) {
        w->views[i] = views[i];
        w->bytes += (size_t)views[i].count * dtype_bytes(views[i].dtype);
    }
    *out = w;
    return true;
}

/* A token table that nothing but embeddings reads. */
static void list_tables(bool *by_row, const struct graph *g)
{
    for (int op = 0; op < graph_n_ops(g); op++) {
        const struct graph_op *o = graph_op_view(g, op);
        if (o->kind == GRAPH_OP_EMBED)
            by_row[o->u.embed.tokens - 1] = true;
    }
}

bool weights_from_mapping(struct weights **out, const struct graph *g,
                          const struct weight_view *views, struct error *err)
{
    struct weights *w;
    if (!weights_from_views(&w, g, views, err))
        return false;
    bool *by_row = calloc(w->n ? (size_t)w->n : 1, sizeof *by_row);
    bool ok = by_row || error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", w->n);
    if (by_row)
        list_tables(by_row, g);
    ok = ok && weights_pages_new(&w->pages, w->views, by_row, w->n, err) &&
         weights_stream_new(&w->stream, g, w->pages, err);
    free(by_row);
    if (ok)
        *out = w;
    else
        weights_free(w);
    return ok;
}

void weights_free(struct weights *w)
{
    if (!w)
        return;
    weights_stream_free(w->stream);
    weights_pages_free(w->pages);
    weights_deltas_free(w->deltas);
    free(w->views);
    free(w);
}

const struct weight_view *weights_find(const struct weights *w, int weight)
{
    ASSERT(weight >= 1 && weight <= w->n);
    return &w->views[weight - 1];
}

bool weights_add_delta(struct weights *w, int weight, const struct weight_delta *delta,
                       struct error *err)
{
    return (w->deltas || weights_deltas_new(&w->deltas, w->n, err)) &&
           weights_deltas_add(w->deltas, weight, delta, err);
}

int weights_find_deltas(const struct weights *w, int weight, const struct weight_delta **out)
{
    *out = NULL;
    return w->deltas ? weights_deltas_find(w->deltas, weight, out) : 0;
}

/* Of mapped deltas. */
static size_t delta_bytes(const struct weights *w)
{
    return w->pages && w->deltas ? weights_deltas_bytes(w->deltas) : 0;
}

size_t weights_bytes(const struct weights *w)
{
    return w->bytes;
}

size_t weights_resident_bytes(const struct weights *w)
{
    return w->pages ? weights_pages_bytes(w->pages) + delta_bytes(w) : 0;
}

size_t weights_peak_resident_bytes(const struct weights *w, enum weights_policy policy)
{
    return policy == WEIGHTS_STREAMED && w->stream
               ? weights_stream_peak_bytes(w->stream) + delta_bytes(w)
               : weights_resident_bytes(w);
}

size_t weights_streamed_bytes(const struct weights *w, int op)
{
    return w->stream ? weights_stream_op_bytes(w->stream, op) + delta_bytes(w) : 0;
}

void weights_set_policy(struct weights *w, enum weights_policy policy)
{
    if (policy != w->policy)
        weights_drop(w);
    w->policy = policy;
}

void weights_drop(struct weights *w)
{
    if (!w->pages)
        return;
    weights_stream_finish(w->stream);
    weights_pages_drop_all(w->pages);
    weights_pages_rejoin(w->pages);
    if (w->deltas)
        weights_deltas_drop(w->deltas);
}

static bool streams(const struct weights *w)
{
    return w->policy == WEIGHTS_STREAMED && w->stream;
}

void weights_acquire(struct weights *w, int op)
{
    if (streams(w))
        weights_stream_acquire(w->stream, op);
}

void weights_release(struct weights *w, int op)
{
    if (streams(w))
        weights_stream_release(w->stream, op);
}

void weights_finish(struct weights *w)
{
    if (streams(w))
        weights_stream_finish(w->stream);
}
