#include "engine/weights_stream.h"

#include "base/assert.h"
#include "base/thread.h"

#include <stdlib.h>

/* Steps ahead are brought until they make this many bytes: small weights do not wait for each
 * other, and no more than one large weight, or a piece of one, is ahead. */
enum { AHEAD_BYTES = 1 << 20 };

enum { STEP_SPANS = 3 }; /* a piece of each half, and the bias */

/* What a step brings.  Ops that are alike bring the same. */
struct stream_load {
    struct weights_span spans[STEP_SPANS]; /* brought as a whole */
    int n_spans;
    int table;    /* read by rows, never brought as a whole; 0: none */
    int64_t rows; /* most rows read of it */
    size_t bytes;
};

/* An op, or a piece of its weight. */
struct stream_step {
    int load;
    int ahead_end;     /* while it runs, steps before this one are brought */
    size_t used_bytes; /* in memory while it runs, those ahead included */
};

struct weights_stream {
    struct weights_pages *pages;
    struct stream_load *loads;
    struct stream_step *steps;
    int n_steps;
    int *first_step; /* by op, and one more: n_steps */
    int n_ops;
    size_t peak_bytes;

    /* The caller's thread. */
    int begin, end; /* the steps whose weights have users */
    bool running;
    bool started; /* the thread */
    pthread_t thread;

    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Guarded by lock. */
    int wanted_end; /* bring steps before this one */
    int brought;    /* steps before this one are there */
};

static bool is_by_row(const struct graph_op *o, int weight)
{
    return o->kind == GRAPH_OP_EMBED && weight == o->u.embed.tokens;
}

static void add_span(struct stream_load *to, struct weights_span span, size_t bytes)
{
    to->spans[to->n_spans++] = span;
    to->bytes += bytes;
}

static void add_pieces(struct stream_load *to, const struct weights_pages *pages,
                       const struct weights_pieces *p, int weight, int piece)
{
    const size_t from = (size_t)piece * p->piece_bytes;
    const size_t to_byte =
        from + p->piece_bytes < p->half_bytes ? from + p->piece_bytes : p->half_bytes;

    for (int half = 0; half < p->halves; half++) {
        const size_t begin = (size_t)half * p->half_bytes;
        add_span(to, weights_pages_find_piece(pages, weight, begin + from, begin + to_byte),
                 to_byte - from);
    }
}

/* The first step of an op brings the weights that are read beside the one in pieces, and the others
 * keep them. */
static void list_load(struct stream_load *to, const struct graph *g,
                      const struct weights_pages *pages, const struct weights_pieces *p, int op,
                      int piece)
{
    const struct graph_op *o = graph_op_view(g, op);
    int weights[2], n = graph_op_weights(o, weights);

    for (int i = 0; i < n; i++) {
        if (is_by_row(o, weights[i])) {
            to->table = weights[i];
            to->rows = graph_shape_count(graph_tensor_view(g, o->u.embed.ids)->shape);
        } else if (i == 0 && p->n > 1) {
            add_pieces(to, pages, p, weights[i], piece);
        } else if (i == 0 || weights[i] != weights[0]) {
            add_span(to, weights_pages_find(pages, weights[i]),
                     weights_pages_weight_bytes(pages, weights[i]));
        }
    }
}

static const struct stream_load *load_of(const struct weights_stream *s, int step)
{
    return &s->loads[s->steps[step].load];
}

static void use(struct weights_stream *s, int step)
{
    const struct stream_load *load = load_of(s, step);

    for (int i = 0; i < load->n_spans; i++)
        weights_pages_add_user(s->pages, load->spans[i]);
}

static void unuse(struct weights_stream *s, int step)
{
    const struct stream_load *load = load_of(s, step);

    for (int i = 0; i < load->n_spans; i++)
        weights_pages_remove_user(s->pages, load->spans[i]);
}

/* Does to the counts of users what a run does. */
static size_t rehearse(struct weights_stream *s)
{
    size_t peak = 0;
    int end = 0;

    for (int step = 0; step < s->n_steps; step++) {
        struct stream_step *o = &s->steps[step];
        const struct stream_load *load = load_of(s, step);
        for (; end < o->ahead_end; end++)
            use(s, end);
        size_t bytes = weights_pages_used_bytes(s->pages);
        if (load->table)
            bytes += weights_pages_row_bytes(s->pages, load->table, load->rows);
        o->used_bytes = bytes;
        peak = bytes > peak ? bytes : peak;
        unuse(s, step);
    }
    return peak;
}

static void look_ahead(struct weights_stream *s)
{
    size_t ahead = 0; /* bytes of steps [step + 1, end) */
    int end = 1;

    for (int step = 0; step < s->n_steps; step++) {
        while (end < s->n_steps && ahead < AHEAD_BYTES)
            ahead += load_of(s, end++)->bytes;
        s->steps[step].ahead_end = end > s->n_steps ? s->n_steps : end;
        if (step + 1 < end && step + 1 < s->n_steps)
            ahead -= load_of(s, step + 1)->bytes;
    }
}

static const struct weights_pieces *pieces_of(const struct weights_pieces *pieces, int op)
{
    static const struct weights_pieces whole = {.n = 1, .rounds = 1, .halves = 1};
    return pieces ? &pieces[op] : &whole;
}

static int n_steps_of(const struct weights_pieces *pieces, int op)
{
    return pieces_of(pieces, op)->n * pieces_of(pieces, op)->rounds;
}

/* An op before this one that brings the same: the op itself where there is none. */
static int like(const struct graph *g, const struct weights_pieces *pieces, int op)
{
    return pieces ? op : graph_op_view(g, op)->like;
}

/* Makes room for the steps and what they bring. */
static bool make_room(struct weights_stream *s, const struct graph *g,
                      const struct weights_pieces *pieces)
{
    const int n = graph_n_ops(g);
    size_t n_steps = 0, n_loads = 0;

    for (int op = 0; op < n; op++) {
        n_steps += (size_t)n_steps_of(pieces, op);
        n_loads += like(g, pieces, op) < op ? 0 : (size_t)pieces_of(pieces, op)->n;
    }
    if (n_steps >= INT32_MAX)
        return false;
    s->n_ops = n;
    s->n_steps = (int)n_steps;
    s->loads = calloc(n_loads + 1, sizeof *s->loads);
    s->steps = malloc((n_steps + 1) * sizeof *s->steps);
    s->first_step = malloc(((size_t)n + 1) * sizeof *s->first_step);
    return s->loads && s->steps && s->first_step;
}

static void list_steps(struct weights_stream *s, const struct graph *g,
                       const struct weights_pieces *pieces)
{
    int n_loads = 0, n_steps = 0;

    for (int op = 0; op < s->n_ops; op++) {
        const struct weights_pieces *p = pieces_of(pieces, op);
        const int before = like(g, pieces, op);
        const int load = before < op ? s->steps[s->first_step[before]].load : n_loads;

        for (int i = 0; before == op && i < p->n; i++)
            list_load(&s->loads[n_loads++], g, s->pages, p, op, i);
        s->first_step[op] = n_steps;
        for (int i = 0; i < n_steps_of(pieces, op); i++)
            s->steps[n_steps++] = (struct stream_step){.load = load + i % p->n};
    }
    s->first_step[s->n_ops] = n_steps;
}

static void free_steps(struct weights_stream *s)
{
    if (!s)
        return;
    free(s->loads);
    free(s->steps);
    free(s->first_step);
    free(s);
}

bool weights_stream_new(struct weights_stream **out, const struct graph *g,
                        const struct weights_pieces *pieces, struct weights_pages *pages,
                        struct error *err)
{
    struct weights_stream *s = calloc(1, sizeof *s);

    if (!s || !make_room(s, g, pieces)) {
        free_steps(s);
        return error_set(err, ERROR_MEMORY, "no memory to stream weights");
    }
    s->pages = pages;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    list_steps(s, g, pieces);
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
    free_steps(s);
}

size_t weights_stream_peak_bytes(const struct weights_stream *s)
{
    return s->peak_bytes;
}

size_t weights_stream_op_bytes(const struct weights_stream *s, int op)
{
    size_t most = 0;

    ASSERT(op >= 0 && op < s->n_ops);
    for (int i = s->first_step[op]; i < s->first_step[op + 1]; i++)
        most = s->steps[i].used_bytes > most ? s->steps[i].used_bytes : most;
    return most;
}

static void bring(const struct weights_stream *s, int step)
{
    const struct stream_load *load = load_of(s, step);

    for (int i = 0; i < load->n_spans; i++)
        weights_pages_populate(s->pages, load->spans[i], &s->stop);
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
        const int step = s->brought;
        pthread_mutex_unlock(&s->lock);
        bring(s, step);
        pthread_mutex_lock(&s->lock);
        s->brought = step + 1;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Without a thread the weights come late, by the kernels' own touch. */
static void start(struct weights_stream *s, int step)
{
    struct error ignored;

    weights_pages_part(s->pages);
    s->running = true;
    s->begin = s->end = s->wanted_end = s->brought = step;
    atomic_store(&s->stop, false);
    s->started = thread_start(&s->thread, bring_ahead, s, 0, &ignored);
}

static void acquire_step(struct weights_stream *s, int step)
{
    for (; s->end < s->steps[step].ahead_end; s->end++)
        use(s, s->end);
    if (!s->started)
        return;

    pthread_mutex_lock(&s->lock);
    if (s->wanted_end < s->end) {
        s->wanted_end = s->end;
        pthread_cond_broadcast(&s->changed);
    }
    while (s->brought <= step)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void release_step(struct weights_stream *s)
{
    const struct stream_load *o = load_of(s, s->begin);

    unuse(s, s->begin);
    s->begin++;
    for (int i = 0; i < o->n_spans; i++)
        weights_pages_drop(s->pages, o->spans[i]);
    if (o->table)
        weights_pages_drop(s->pages, weights_pages_find(s->pages, o->table));
}

void weights_stream_acquire(struct weights_stream *s, int op)
{
    ASSERT(op >= 0 && op < s->n_ops);
    /* Runs go forward op by op; whoever begins anew, or leaves some out, starts over. */
    if (s->running && s->first_step[op] != s->begin)
        weights_stream_finish(s);
    if (!s->running)
        start(s, s->first_step[op]);
    acquire_step(s, s->first_step[op]);
}

void weights_stream_advance(struct weights_stream *s, int op)
{
    ASSERT(s->running && s->begin >= s->first_step[op] && s->begin + 1 < s->first_step[op + 1]);
    release_step(s);
    acquire_step(s, s->begin);
}

/* Pieces that were not asked for are left out. */
void weights_stream_release(struct weights_stream *s, int op)
{
    while (s->running && s->begin >= s->first_step[op] && s->begin < s->first_step[op + 1] &&
           s->begin < s->end)
        release_step(s);
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
