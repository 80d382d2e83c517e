#include "engine/weights.h"

#include "base/assert.h"
#include "engine/weights_deltas.h"
#include "engine/weights_merge.h"
#include "engine/weights_stream.h"

#include <stdint.h>
#include <stdlib.h>

struct weights {
    struct weight_view *views; /* by number - 1 */
    int n;
    size_t bytes;
    enum weights_policy policy;
    bool mapped;
    struct weights_pages *pages;   /* of mapped files, once orders are known */
    struct weights_stream *stream; /* likewise */
    struct weights_pieces *pieces; /* by op; NULL: every weight is read as a whole */
    int64_t *piece_rows;           /* likewise */
    struct weights_deltas *deltas; /* NULL: none */
    struct weights_merge *merge;   /* NULL: nothing is merged */
};

static size_t view_bytes(const struct weight_view *v)
{
    return (size_t)v->count * dtype_bytes(v->dtype);
}

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
        w->bytes += view_bytes(&views[i]);
    }
    *out = w;
    return true;
}

/* A token table that nothing but embeddings reads. */
static void list_tables(struct weights_pages_use *uses, const struct graph *g)
{
    for (int i = 1; i <= graph_n_weights(g); i++) {
        const int first = graph_weight_view(g, i)->first_op;
        const struct graph_op *o = first < 0 ? NULL : graph_op_view(g, first);
        uses[i - 1].by_row = o && o->kind == GRAPH_OP_EMBED && o->u.embed.tokens == i;
    }
}

/* Pieces of a few megabytes: small beside what a network's arena takes, large beside what changing
 * them costs. */
enum { PIECE_BYTES = 4 << 20 };

bool weights_may_have_pieces(const struct weights *w, int weight)
{
    return view_bytes(&w->views[weight - 1]) >= 2 * (size_t)PIECE_BYTES;
}

/* Cuts an op's weight into pieces, unless another op reads it in another way. */
static void cut_weight(struct weights *w, struct weights_pages_use *uses, const struct graph *g,
                       int op, const struct weights_order *o)
{
    const struct graph_op *conv = graph_op_view(g, op);
    if (conv->kind != GRAPH_OP_CONV || o->rounds < 1)
        return;
    const int weight = conv->u.conv.weight;
    const struct weight_view *v = &w->views[weight - 1];
    const int64_t rows = graph_weight_view(g, weight)->dims[0] / o->halves;
    const size_t row_bytes =
        (size_t)(v->count / graph_weight_view(g, weight)->dims[0]) * dtype_bytes(v->dtype);
    const int64_t parts =
        (int64_t)((size_t)rows * (size_t)o->halves * row_bytes / PIECE_BYTES); /* about equal */
    if (parts < 2)
        return;
    const int64_t steps = (rows + parts * o->row_step - 1) / (parts * o->row_step);
    const int64_t piece = steps * o->row_step;
    const struct weights_pieces p = {.n = (int)((rows + piece - 1) / piece),
                                     .rounds = o->rounds,
                                     .halves = o->halves,
                                     .half_bytes = (size_t)rows * row_bytes,
                                     .piece_bytes = (size_t)piece * row_bytes};
    struct weights_pages_use *use = &uses[weight - 1];

    if (!use->piece_bytes) {
        use->half_bytes = p.half_bytes;
        use->piece_bytes = p.piece_bytes;
    }
    if (p.n < 2 || use->half_bytes != p.half_bytes || use->piece_bytes != p.piece_bytes)
        return;
    w->pieces[op] = p;
    w->piece_rows[op] = piece;
}

static void close_stream(struct weights *w)
{
    weights_stream_free(w->stream);
    weights_pages_free(w->pages);
    free(w->pieces);
    free(w->piece_rows);
    w->stream = NULL;
    w->pages = NULL;
    w->pieces = NULL;
    w->piece_rows = NULL;
}

static bool cut_weights(struct weights *w, struct weights_pages_use *uses, const struct graph *g,
                        const struct weights_order *orders, struct error *err)
{
    const size_t n_ops = (size_t)graph_n_ops(g);

    w->pieces = calloc(n_ops + 1, sizeof *w->pieces);
    w->piece_rows = calloc(n_ops + 1, sizeof *w->piece_rows);
    if (!w->pieces || !w->piece_rows)
        return error_set(err, ERROR_MEMORY, "no memory for a list of pieces of weights");
    for (int op = 0; op < (int)n_ops; op++) {
        w->pieces[op] = (struct weights_pieces){.n = 1, .rounds = 1, .halves = 1};
        cut_weight(w, uses, g, op, &orders[op]);
    }
    return true;
}

bool weights_set_orders(struct weights *w, const struct graph *g,
                        const struct weights_order *orders, struct error *err)
{
    struct weights_pages_use *uses;

    if (!w->mapped)
        return true;
    weights_drop(w);
    close_stream(w);
    uses = calloc(w->n ? (size_t)w->n : 1, sizeof *uses);
    if (!uses)
        return error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", w->n);
    list_tables(uses, g);
    const bool ok = (!orders || cut_weights(w, uses, g, orders, err)) &&
                    weights_pages_new(&w->pages, w->views, uses, w->n, err) &&
                    weights_stream_new(&w->stream, g, w->pieces, w->pages, err);
    free(uses);
    if (!ok)
        close_stream(w);
    return ok;
}

bool weights_has_orders(const struct weights *w)
{
    return !w->mapped || w->pages;
}

bool weights_from_mapping(struct weights **out, const struct graph *g,
                          const struct weight_view *views, struct error *err)
{
    if (!weights_from_views(out, g, views, err))
        return false;
    (*out)->mapped = true;
    return true;
}

void weights_free(struct weights *w)
{
    if (!w)
        return;
    weights_restore(w);
    weights_merge_free(w->merge);
    close_stream(w);
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
    if (w->merge && weights_merge_has(w->merge, weight))
        return 0;
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

static bool use_deltas(struct weights_deltas *used, const struct weights *w,
                       const struct graph_op *op)
{
    int weights[2];
    const int n = graph_op_weights(op, weights);

    for (int i = 0; i < n; i++)
        if (!weights_deltas_use(used, w->deltas, weights[i]))
            return false;
    return true;
}

size_t weights_first_run_bytes(const struct weights *w, const struct graph *g,
                               const size_t *touched)
{
    const size_t all = delta_bytes(w);
    struct weights_deltas *used = NULL;
    struct error ignored;
    /* Without memory to count them all deltas are there from the beginning. */
    bool counts = all && weights_deltas_new(&used, w->n, &ignored);
    size_t deltas = counts ? 0 : all, most = 0;

    for (int op = 0; op < graph_n_ops(g); op++) {
        if (counts) {
            counts = use_deltas(used, w, graph_op_view(g, op));
            deltas = counts ? weights_deltas_bytes(used) : all;
            deltas = deltas < all ? deltas : all;
        }
        const size_t streamed = w->stream ? weights_stream_op_bytes(w->stream, op) : 0;
        const size_t bytes = touched[op] + streamed + deltas;
        most = bytes > most ? bytes : most;
    }
    weights_deltas_free(used);
    return most;
}

void weights_set_policy(struct weights *w, enum weights_policy policy)
{
    if ((policy == WEIGHTS_STREAMED) != (w->policy == WEIGHTS_STREAMED))
        weights_drop(w);
    else if (policy != w->policy)
        weights_restore(w);
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
    if (w->merge)
        weights_merge_forget(w->merge, w->views);
}

size_t weights_delta_target_bytes(const struct weights *w)
{
    const struct weight_delta *list;
    size_t bytes = 0;

    for (int i = 0; w->deltas && i < w->n; i++)
        if (weights_deltas_find(w->deltas, i + 1, &list))
            bytes += view_bytes(&w->views[i]);
    return bytes;
}

void weights_restore(struct weights *w)
{
    if (w->merge && weights_merge_has_any(w->merge))
        weights_drop(w);
}

void *weights_merge_begin(struct weights *w, int weight)
{
    const struct weight_delta *deltas;

    if (w->policy != WEIGHTS_MERGED || !w->pages || !weights_find_deltas(w, weight, &deltas))
        return NULL;
    if (!w->merge)
        w->merge = weights_merge_new(w->views, w->n);
    if (!w->merge || !weights_merge_open(w->merge, &w->views[weight - 1]))
        return NULL;
    return (void *)(uintptr_t)w->views[weight - 1].bytes;
}

int weights_merge_tasks(const struct weights *w, int weight)
{
    return weights_merge_pieces(&w->views[weight - 1]);
}

void weights_merge_bring_pages(const struct weights *w, int weight, int task)
{
    weights_merge_bring(&w->views[weight - 1], task);
}

void weights_merge_end(struct weights *w, int weight)
{
    weights_merge_close(w->merge, weight, &w->views[weight - 1]);
}

static bool streams(const struct weights *w)
{
    return w->policy == WEIGHTS_STREAMED && w->stream;
}

int weights_pieces(const struct weights *w, int op)
{
    return streams(w) && w->pieces ? w->pieces[op].n : 1;
}

int64_t weights_piece_rows(const struct weights *w, int op)
{
    return weights_pieces(w, op) > 1 ? w->piece_rows[op] : INT64_MAX;
}

void weights_acquire(struct weights *w, int op)
{
    if (streams(w))
        weights_stream_acquire(w->stream, op);
}

void weights_advance(struct weights *w, int op)
{
    if (weights_pieces(w, op) > 1)
        weights_stream_advance(w->stream, op);
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
