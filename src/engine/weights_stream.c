#include "engine/weights_stream.h"

#include "base/assert.h"
#include "base/thread.h"

#include <stdlib.h>

/* Ops ahead are brought until they make this many bytes: small weights do not wait for each other,
 * and no more than one large weight is ahead. */
enum { AHEAD_BYTES = 1 << 20 };

struct stream_op {
    int weights[2]; /* brought as a whole; 0: none */
    int table;      /* read by rows, never brought as a whole; 0: none */
    int64_t rows;   /* most rows read of it */
    size_t bytes;
    size_t used_bytes; /* in memory while it runs, those ahead included */
    int ahead_end;     /* while it runs, ops before this one are brought */
};

struct weights_stream {
    struct weights_pages *pages;
    struct stream_op *ops;
    int n_ops;
    size_t peak_bytes;

    /* The caller's thread. */
    int begin, end; /* the ops whose weights have users */
    bool running;
    bool started; /* the thread */
    pthread_t thread;

    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Guarded by lock. */
    int wanted_end; /* bring ops before this one */
    int brought;    /* ops before this one are there */
};

static bool is_by_row(const struct graph_op *o, int weight)
{
    return o->kind == GRAPH_OP_EMBED && weight == o->u.embed.tokens;
}

static void list_op(struct stream_op *to, const struct graph *g, const struct weights_pages *pages,
                    int op)
{
    const struct graph_op *o = graph_op_view(g, op);
    int weights[2], n = graph_op_weights(o, weights), kept = 0;

    for (int i = 0; i < n; i++) {
        if (is_by_row(o, weights[i])) {
            to->table = weights[i];
            to->rows = graph_shape_count(graph_tensor_view(g, o->u.embed.ids)->shape);
        } else if (kept == 0 || to->weights[0] != weights[i]) {
            to->weights[kept++] = weights[i];
            to->bytes += weights_pages_weight_bytes(pages, weights[i]);
        }
    }
}

static void use(struct weights_stream *s, int op)
{
    for (int i = 0; i < 2; i++) {
        if (s->ops[op].weights[i])
            weights_pages_add_user(s->pages, s->ops[op].weights[i]);
    }
}

static void unuse(struct weights_stream *s, int op)
{
    for (int i = 0; i < 2; i++) {
        if (s->ops[op].weights[i])
            weights_pages_remove_user(s->pages, s->ops[op].weights[i]);
    }
}

/* Does to the counts of users what a run does. */
static size_t rehearse(struct weights_stream *s)
{
    size_t peak = 0;
    int end = 0;

    for (int op = 0; op < s->n_ops; op++) {
        struct stream_op *o = &s->ops[op];
        for (; end < o->ahead_end; end++)
            use(s, end);
        size_t bytes = weights_pages_used_bytes(s->pages);
        if (o->table)
            bytes += weights_pages_row_bytes(s->pages, o->table, o->rows);
        o->used_bytes = bytes;
        peak = bytes > peak ? bytes : peak;
        unuse(s, op);
    }
    return peak;
}

static void look_ahead(struct weights_stream *s)
{
    size_t ahead = 0; /* bytes of ops [op + 1, end) */
    int end = 1;

    for (int op = 0; op < s->n_ops; op++) {
        while (end < s->n_ops && ahead < AHEAD_BYTES)
            ahead += s->ops[end++].bytes;
        s->ops[op].ahead_end = end > s->n_ops ? s->n_ops : end;
        if (op + 1 < end && op + 1 < s->n_ops)
            ahead -= s->ops[op + 1].bytes;
    }
}

bool weights_stream_new(struct weights_stream **out, const struct graph *g,
                        struct weights_pages *pages, struct error *err)
{
    struct weights_stream *s = calloc(1, sizeof *s);
    const int n = graph_n_ops(g);

    if (s)
        s->ops = calloc(n ? (size_t)n : 1, sizeof *s->ops);
    if (!s || !s->ops) {
        free(s);
        return error_set(err, ERROR_MEMORY, "no memory to stream weights");
    }
    s->pages = pages;
    s->n_ops = n;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    for (int op = 0; op < n; op++)
        list_op(&s->ops[op], g, pages, op);
    look_ahead(s);
    s->peak_bytes = rehearse(s);
    *out = s;
    return true;
}

void weights_stream_free(struct weights_stream *s)
{
    if (!s)
        return;
    weights_stream_finish(s);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->ops);
    free(s);
}

size_t weights_stream_peak_bytes(const struct weights_stream *s)
{
    return s->peak_bytes;
}

size_t weights_stream_op_bytes(const struct weights_stream *s, int op)
{
    ASSERT(op >= 0 && op < s->n_ops);
    return s->ops[op].used_bytes;
}

static void bring(const struct weights_stream *s, int op)
{
    for (int i = 0; i < 2; i++) {
        if (s->ops[op].weights[i])
            weights_pages_populate(s->pages, s->ops[op].weights[i], &s->stop);
    }
}

static void *bring_ahead(void *arg)
{
    struct weights_stream *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stop)) {
        if (s->brought >= s->wanted_end) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        const int op = s->brought;
        pthread_mutex_unlock(&s->lock);
        bring(s, op);
        pthread_mutex_lock(&s->lock);
        s->brought = op + 1;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Without a thread the weights come late, by the kernels' own touch. */
static void start(struct weights_stream *s, int op)
{
    struct error ignored;

    weights_pages_part(s->pages);
    s->running = true;
    s->begin = s->end = s->wanted_end = s->brought = op;
    atomic_store(&s->stop, false);
    s->started = thread_start(&s->thread, bring_ahead, s, 0, &ignored);
}

void weights_stream_acquire(struct weights_stream *s, int op)
{
    ASSERT(op >= 0 && op < s->n_ops);
    /* Runs go forward op by op; whoever begins anew, or leaves some out, starts over. */
    if (s->running && op != s->begin)
        weights_stream_finish(s);
    if (!s->running)
        start(s, op);
    for (; s->end < s->ops[op].ahead_end; s->end++)
        use(s, s->end);
    if (!s->started)
        return;

    pthread_mutex_lock(&s->lock);
    if (s->wanted_end < s->end) {
        s->wanted_end = s->end;
        pthread_cond_broadcast(&s->changed);
    }
    while (s->brought <= op)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void weights_stream_release(struct weights_stream *s, int op)
{
    const struct stream_op *o = &s->ops[op];
    if (!s->running || op != s->begin || op >= s->end)
        return; /* not acquired, or given back already */
    unuse(s, op);
    s->begin++;
    for (int i = 0; i < 2; i++) {
        if (o->weights[i])
            weights_pages_drop(s->pages, o->weights[i]);
    }
    if (o->table)
        weights_pages_drop(s->pages, o->table);
}

void weights_stream_finish(struct weights_stream *s)
{
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        atomic_store(&s->stop, true);
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        s->started = false;
    }
    if (!s->running)
        return;
    weights_pages_forget_users(s->pages);
    weights_pages_drop_all(s->pages);
    s->running = false;
}
