#include "engine/layout.h"

#include "base/size.h"
#include "engine/layout_place.h"

#include <stdlib.h>
#include <string.h>

enum { ASKED = 2 }; /* bands of two heights may take turns */

/* An op with a weight, and what it needs: the next ones are often alike. */
struct asked {
    int op_after; /* op + 1; 0: none yet */
    struct backend_needs needs;
};

struct maker {
    const struct graph *g;
    struct backend *b;
    struct layout_block *blocks; /* one per tensor that does not share, one per workspace */
    int n_blocks;
    int *block_of;                /* by tensor number */
    int *work_block;              /* by op; -1: none */
    struct asked (*asked)[ASKED]; /* by weight number, the last one first; [0]: no weights */
};

static bool round_up(size_t *bytes)
{
    if (!size_add(bytes, *bytes, BACKEND_ALIGN - 1))
        return false;
    *bytes &= ~(size_t)(BACKEND_ALIGN - 1);
    return true;
}

static int new_block(struct maker *m, int first, int last, size_t bytes)
{
    m->blocks[m->n_blocks] = (struct layout_block){first, last, bytes, 0};
    return m->n_blocks++;
}

/* The tensor whose place the op's result may take: read here for the last time, at the same spot
 * and by the same thread that then writes the result; 0: none. */
static int overwritten(const struct graph *g, int op)
{
    const struct graph_op *o = graph_op_view(g, op);
    int candidate = 0;

    if (o->kind == GRAPH_OP_CONV) {
        const struct graph_conv *c = &o->u.conv;
        candidate = c->into ? 0 : c->residual;
        if (candidate == c->in.x || candidate == c->in.x2)
            return 0;
        for (int i = 0; i < GRAPH_MAX_WINDOWS - 1 && c->in.more[i]; i++)
            if (candidate == c->in.more[i])
                return 0;
    } else if (o->kind == GRAPH_OP_ACT) {
        candidate = o->u.act.a;
    }
    if (!candidate)
        return 0;
    const struct graph_tensor *t = graph_tensor_view(g, candidate),
                              *out = graph_tensor_view(g, o->out);
    /* A taller window would be at the same spot for other rows. */
    if (t->ring || t->y0 != out->y0 || t->shape.h != out->shape.h)
        return 0;
    return t->role == GRAPH_VALUE && t->last_op == op ? candidate : 0;
}

/* Inputs are there before the first op; what no op ever writes may as well come after the last. */
static int within(int op, int n_ops)
{
    return op < 0 ? 0 : op < n_ops ? op : n_ops;
}

static const struct backend_needs *needs_of(const struct maker *m, int op, struct error *err)
{
    int weights[2];
    const int n = graph_op_weights(graph_op_view(m->g, op), weights);
    struct asked *asked = m->asked[n ? weights[0] : 0];
    int k = 0;

    while (k < ASKED && asked[k].op_after && !graph_op_is_alike(m->g, op, asked[k].op_after - 1))
        k++;
    struct asked now = {.op_after = op + 1};
    if (k < ASKED && asked[k].op_after) {
        now.needs = asked[k].needs;
    } else {
        k = k < ASKED ? k : ASKED - 1;
        if (!m->b->fn->op_needs(m->b, m->g, op, &now.needs, err))
            return NULL;
        if (!round_up(&now.needs.workspace_bytes)) {
            error_set(err, ERROR_LIMIT, "a workspace is too large");
            return NULL;
        }
    }
    for (; k > 0; k--)
        asked[k] = asked[k - 1];
    asked[0] = now;
    return &asked[0].needs;
}

static bool collect_blocks(struct maker *m, struct layout *l, struct error *err)
{
    int n_ops = graph_n_ops(m->g);

    for (int t = 1; t <= graph_n_tensors(m->g); t++)
        m->block_of[t] = -1;
    for (int t = 1; t <= graph_n_tensors(m->g); t++) {
        const struct graph_tensor *tensor = graph_tensor_view(m->g, t);
        int last = tensor->role == GRAPH_OUTPUT ? n_ops : within(tensor->last_op, n_ops);
        int shared = tensor->first_op >= 0 && tensor->first_op < n_ops
                         ? overwritten(m->g, tensor->first_op)
                         : 0;
        size_t bytes;
        if (!m->b->fn->tensor_bytes(m->b, tensor->shape, &bytes, err))
            return false;
        if (!round_up(&bytes))
            return error_set(err, ERROR_LIMIT, "a tensor is too large");
        /* Inputs stay to the end: they keep their values from run to run. */
        if (tensor->role == GRAPH_INPUT)
            last = n_ops;
        if (shared && m->blocks[m->block_of[shared]].bytes >= bytes) {
            m->block_of[t] = m->block_of[shared];
            m->blocks[m->block_of[t]].last = last;
        } else {
            m->block_of[t] = new_block(m, within(tensor->first_op, n_ops), last, bytes);
        }
    }
    for (int op = 0; op < n_ops; op++) {
        const struct backend_needs *needs = needs_of(m, op, err);
        if (!needs)
            return false;
        l->flops += needs->flops;
        l->seconds += needs->seconds;
        l->merge_seconds += needs->merge_seconds;
        m->work_block[op] =
            needs->workspace_bytes ? new_block(m, op, op, needs->workspace_bytes) : -1;
    }
    return true;
}

static bool total_is_sound(const struct maker *m, struct error *err)
{
    size_t sum = 0;
    for (int i = 0; i < m->n_blocks; i++)
        if (!size_add(&sum, sum, m->blocks[i].bytes))
            return error_set(err, ERROR_LIMIT, "the network's tensors are too large together");
    return true;
}

static void *new_array(size_t n, size_t item_bytes)
{
    return calloc(n ? n : 1, item_bytes);
}

/* For what is written before it is read: pages come with what is. */
static void *new_room(size_t n, size_t item_bytes)
{
    return malloc((n ? n : 1) * item_bytes); /* n: at most the parts of a graph */
}

/* Memory comes in the device's granules, each with the first block that touches it. */
static bool set_touched(struct layout *l, const struct maker *m, int n_ops, struct error *err)
{
    const size_t granule = m->b->fn->arena_granule, n = l->arena_bytes / granule;
    int *first = new_array(n, sizeof *first); /* op + 1; 0: never */

    if (!first)
        return error_set(err, ERROR_MEMORY, "no memory to lay out a network");
    for (int i = 0; i < m->n_blocks; i++) {
        const struct layout_block *block = &m->blocks[i];
        size_t end = (block->offset + block->bytes + granule - 1) / granule;
        for (size_t at = block->offset / granule; at < end; at++)
            if (!first[at] || block->first < first[at] - 1)
                first[at] = block->first + 1;
    }
    for (size_t at = 0; at < n; at++)
        if (first[at] && first[at] <= n_ops)
            l->touched_bytes[first[at] - 1] += granule;
    for (int op = 1; op < n_ops; op++)
        l->touched_bytes[op] += l->touched_bytes[op - 1];
    free(first);
    return true;
}

bool layout_make(struct layout *out, const struct graph *g, struct backend *b, size_t most_bytes,
                 struct error *err)
{
    size_t n_tensors = (size_t)graph_n_tensors(g), n_ops = (size_t)graph_n_ops(g);
    struct maker m = {.g = g, .b = b};
    struct layout l = {0};
    bool ok = false;

    m.blocks = new_room(n_tensors + n_ops, sizeof *m.blocks);
    m.block_of = new_room(n_tensors + 1, sizeof *m.block_of);
    m.work_block = new_room(n_ops, sizeof *m.work_block);
    m.asked = new_array((size_t)graph_n_weights(g) + 1, sizeof *m.asked);
    l.tensor_offset = new_room(n_tensors + 1, sizeof *l.tensor_offset);
    l.workspace_offset = new_room(n_ops, sizeof *l.workspace_offset);
    l.touched_bytes = new_array(n_ops, sizeof *l.touched_bytes);
    if (!m.blocks || !m.block_of || !m.work_block || !m.asked || !l.tensor_offset ||
        !l.workspace_offset || !l.touched_bytes) {
        error_set(err, ERROR_MEMORY, "no memory to lay out a network");
        goto done;
    }
    if (!graph_check(g, err) || !collect_blocks(&m, &l, err) || !total_is_sound(&m, err) ||
        !layout_place(m.blocks, m.n_blocks, most_bytes, &l.arena_bytes, err))
        goto done;

    size_t granule = b->fn->arena_granule;
    l.is_placed = !most_bytes || l.arena_bytes <= most_bytes;
    l.arena_bytes = (l.arena_bytes + granule - 1) & ~(granule - 1);
    l.tensor_offset[0] = 0; /* none */
    for (size_t t = 1; t <= n_tensors; t++)
        l.tensor_offset[t] = m.blocks[m.block_of[t]].offset;
    for (size_t op = 0; op < n_ops; op++)
        l.workspace_offset[op] = m.work_block[op] < 0 ? 0 : m.blocks[m.work_block[op]].offset;
    if (l.is_placed && !set_touched(&l, &m, (int)n_ops, err))
        goto done;

    *out = l;
    l = (struct layout){0};
    ok = true;

done:
    layout_clear(&l);
    free(m.blocks);
    free(m.block_of);
    free(m.work_block);
    free(m.asked);
    return ok;
}

void layout_clear(struct layout *l)
{
    free(l->tensor_offset);
    free(l->workspace_offset);
    free(l->touched_bytes);
    *l = (struct layout){0};
}
