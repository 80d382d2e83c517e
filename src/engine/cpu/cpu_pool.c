#include "engine/cpu/cpu_pool.h"

#include "base/thread.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* A network has hundreds of operations and many last microseconds, so the owner never waits for a
 * thread that has not joined a loop: it closes the loop when the tasks run out and waits only for
 * those inside.  A late sleeper finds the door shut and goes back to waiting. */

/* How long a thread looks for work before it sleeps: longer than the gap between two operations,
 * short enough not to burn a core that somebody else wants. */
enum { SPIN_NS = 20000, SPINS_PER_LOOK_AT_CLOCK = 32 };

/* `state` is loop number << 32 | OPEN | threads inside, so that a thread joins exactly the loop it
 * has seen, or none. */
#define OPEN ((uint64_t)1 << 31)
#define INSIDE (OPEN - 1)

/* Tells the core that this is a waiting loop. */
static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

struct worker {
    struct cpu_pool *pool;
    pthread_t thread;
    int number;
};

struct cpu_pool {
    int n_threads;
    cpu_pool_edge_fn begin, end;
    void *edge_ctx;
    int n_started;
    struct worker *workers; /* n_threads - 1; number 0 is the caller */

    /* The loop: written by the owner while nobody is inside and the door is shut. */
    cpu_pool_fn fn;
    void *ctx;
    int64_t n_tasks;

    _Alignas(64) _Atomic int64_t next;
    _Alignas(64) _Atomic uint64_t state;
    _Atomic int sleepers;
    _Atomic bool stop;
    _Atomic bool owner_sleeps;

    pthread_mutex_t lock; /* guards no field; makes "look, then sleep" one step */
    pthread_cond_t wake, left;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void do_tasks(struct cpu_pool *p, int thread)
{
    int64_t task = atomic_fetch_add(&p->next, 1);
    if (task >= p->n_tasks)
        return;
    if (p->begin)
        p->begin(p->edge_ctx);
    for (; task < p->n_tasks; task = atomic_fetch_add(&p->next, 1))
        p->fn(p->ctx, (int)task, thread);
    if (p->end)
        p->end(p->edge_ctx);
}

/* True when there is a loop to join that this thread has not been in yet. */
static bool is_news(uint64_t state, uint64_t seen)
{
    return (state & OPEN) && state >> 32 != seen;
}

/* Returns the state with news in it, or 0 when the pool stops. */
static uint64_t wait_for_news(struct cpu_pool *p, uint64_t seen)
{
    const int64_t until = now_ns() + SPIN_NS;
    uint64_t state;

    do {
        for (int i = 0; i < SPINS_PER_LOOK_AT_CLOCK; i++) {
            state = atomic_load(&p->state);
            if (is_news(state, seen))
                return state;
            relax();
        }
    } while (!atomic_load(&p->stop) && now_ns() < until);

    /* Sequentially consistent on both sides: either the owner sees this sleeper, or the sleeper
     * sees the owner's loop. */
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (state = atomic_load(&p->state), !is_news(state, seen) && !atomic_load(&p->stop))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return is_news(state, seen) ? state : 0;
}

static void *work(void *arg)
{
    const struct worker *w = arg;
    struct cpu_pool *p = w->pool;
    uint64_t seen = 0, state;

    while ((state = wait_for_news(p, seen)) != 0) {
        if (!atomic_compare_exchange_strong(&p->state, &state, state + 1))
            continue; /* somebody else came or the door closed: look again */
        seen = state >> 32;
        do_tasks(p, w->number);
        state = atomic_fetch_sub(&p->state, 1) - 1;
        if (!(state & OPEN) && (state & INSIDE) == 0 && atomic_load(&p->owner_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->left);
            pthread_mutex_unlock(&p->lock);
        }
    }
    return NULL;
}

static void wait_until_empty(struct cpu_pool *p)
{
    if ((atomic_load(&p->state) & INSIDE) == 0)
        return;
    const int64_t until = now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_LOOK_AT_CLOCK; i++) {
            if ((atomic_load(&p->state) & INSIDE) == 0)
                return;
            relax();
        }
    } while (now_ns() < until);

    pthread_mutex_lock(&p->lock);
    atomic_store(&p->owner_sleeps, true);
    while (atomic_load(&p->state) & INSIDE)
        pthread_cond_wait(&p->left, &p->lock);
    atomic_store(&p->owner_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

void cpu_pool_run(struct cpu_pool *p, cpu_pool_fn fn, void *ctx, int n_tasks)
{
    p->fn = fn;
    p->ctx = ctx;
    p->n_tasks = n_tasks;
    atomic_store(&p->next, 0);
    if (n_tasks <= 1 || p->n_threads == 1) {
        do_tasks(p, 0);
        return;
    }

    /* Loop numbers wrap after 2^32 - 1 loops; 0 is left out, as it means "has seen none". */
    uint64_t loop = ((atomic_load(&p->state) >> 32) + 1) & UINT32_MAX;
    atomic_store(&p->state, (loop ? loop : 1) << 32 | OPEN);
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    do_tasks(p, 0);
    atomic_fetch_and(&p->state, ~OPEN);
    wait_until_empty(p);
}

int cpu_pool_threads(const struct cpu_pool *p)
{
    return p->n_threads;
}

void cpu_pool_free(struct cpu_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->left);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

static bool start_workers(struct cpu_pool *p, struct error *err)
{
    for (int i = 0; i < p->n_threads - 1; i++) {
        p->workers[i] = (struct worker){.pool = p, .number = i + 1};
        if (!thread_start(&p->workers[i].thread, work, &p->workers[i], 0, err))
            return error_prefix(err, "thread %d of the processor's pool", i + 1);
        p->n_started++;
    }
    return true;
}

bool cpu_pool_new(struct cpu_pool **out, int n_threads, cpu_pool_edge_fn begin,
                  cpu_pool_edge_fn end, void *edge_ctx, struct error *err)
{
    if (n_threads < 1 || n_threads > CPU_POOL_MAX_THREADS)
        return error_set(err, ERROR_INVALID, "%d threads asked for; 1 to %d are possible",
                         n_threads, CPU_POOL_MAX_THREADS);

    void *room = NULL; /* aligned for the fields that have a cache line of their own */
    if (posix_memalign(&room, 64, sizeof(struct cpu_pool)) != 0)
        return error_set(err, ERROR_MEMORY, "no memory for a pool of %d threads", n_threads);
    struct cpu_pool *p = room;
    *p =
        (struct cpu_pool){.n_threads = n_threads, .begin = begin, .end = end, .edge_ctx = edge_ctx};
    p->workers = calloc((size_t)n_threads, sizeof *p->workers);
    const bool has_lock = pthread_mutex_init(&p->lock, NULL) == 0;
    const bool has_wake = has_lock && pthread_cond_init(&p->wake, NULL) == 0;
    const bool has_left = has_wake && pthread_cond_init(&p->left, NULL) == 0;
    if (!p->workers || !has_left) {
        if (has_left)
            pthread_cond_destroy(&p->left);
        if (has_wake)
            pthread_cond_destroy(&p->wake);
        if (has_lock)
            pthread_mutex_destroy(&p->lock);
        free(p->workers);
        free(p);
        return error_set(err, ERROR_MEMORY, "no memory for a pool of %d threads", n_threads);
    }
    if (!start_workers(p, err)) {
        cpu_pool_free(p);
        return false;
    }
    *out = p;
    return true;
}
