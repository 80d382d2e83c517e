#include "base/test.h"
#include "engine/cpu/cpu_pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct count {
    int *runs; /* by task; written by whoever has the task, so that a sanitizer sees doubles */
    int n_threads;
    _Atomic int wrong_thread;
};

struct edges {
    _Atomic int begun, ended;
};

static void count_task(void *ctx, int task, int thread)
{
    struct count *c = ctx;
    c->runs[task]++;
    if (thread < 0 || thread >= c->n_threads)
        atomic_fetch_add(&c->wrong_thread, 1);
}

static void count_begin(void *ctx)
{
    atomic_fetch_add(&((struct edges *)ctx)->begun, 1);
}

static void count_end(void *ctx)
{
    atomic_fetch_add(&((struct edges *)ctx)->ended, 1);
}

static void runs_every_task_once(void)
{
    static const int threads[] = {1, 2, 3, 9};
    static const int tasks[] = {0, 1, 2, 3, 17, 1000};
    struct error err;

    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct edges edges = {0};
        struct cpu_pool *p = NULL;
        CHECK(cpu_pool_new(&p, threads[t], count_begin, count_end, &edges, &err));
        if (!p)
            return;
        CHECK(cpu_pool_threads(p) == threads[t]);
        for (size_t k = 0; k < sizeof tasks / sizeof *tasks; k++) {
            int runs[1000] = {0};
            struct count c = {.runs = runs, .n_threads = threads[t]};
            const int before = atomic_load(&edges.begun);
            cpu_pool_run(p, count_task, &c, tasks[k]);
            for (int i = 0; i < 1000; i++)
                CHECK(runs[i] == (i < tasks[k]));
            CHECK(atomic_load(&c.wrong_thread) == 0);
            const int begun = atomic_load(&edges.begun);
            CHECK(begun == atomic_load(&edges.ended));
            CHECK(begun - before >= (tasks[k] > 0) && begun - before <= threads[t]);
            CHECK(tasks[k] > 0 || begun == before);
        }
        cpu_pool_free(p);
    }
}

/* Each loop reads what the one before wrote, as operations do. */
static void add_one(void *ctx, int task, int thread)
{
    (void)thread;
    int *const *rows = ctx;
    rows[1][task] = rows[0][(task + 1) % 7] + 1;
}

static void survives_many_tiny_loops(void)
{
    struct error err;
    static const int threads[] = {2, 6};

    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct cpu_pool *p = NULL;
        CHECK(cpu_pool_new(&p, threads[t], NULL, NULL, NULL, &err));
        if (!p)
            return;
        int a[7] = {0}, b[7] = {0};
        int *rows[2] = {a, b};
        const int n = 20000;
        for (int i = 0; i < n; i++) {
            rows[0] = i % 2 ? b : a;
            rows[1] = i % 2 ? a : b;
            cpu_pool_run(p, add_one, rows, 7);
        }
        for (int i = 0; i < 7; i++)
            CHECK(rows[1][i] == n);
        cpu_pool_free(p);
    }
}

static void wakes_threads_that_went_to_sleep(void)
{
    struct error err;
    struct cpu_pool *p = NULL;
    CHECK(cpu_pool_new(&p, 3, NULL, NULL, NULL, &err));
    if (!p)
        return;
    for (int i = 0; i < 50; i++) {
        int runs[5] = {0};
        struct count c = {.runs = runs, .n_threads = 3};
        const struct timespec pause = {.tv_nsec = 10000 * (i % 10)};
        nanosleep(&pause, NULL);
        cpu_pool_run(p, count_task, &c, 5);
        for (int k = 0; k < 5; k++)
            CHECK(runs[k] == 1);
    }
    cpu_pool_free(p);
}

static void wait_for_the_other(void *ctx, int task, int thread)
{
    (void)task, (void)thread;
    _Atomic int *here = ctx;
    atomic_fetch_add(here, 1);
    const time_t begin = time(NULL);
    while (atomic_load(here) < 3 && time(NULL) - begin < 20)
        ;
}

/* Three tasks that wait for each other end only when three threads work. */
static void works_with_all_its_threads(void)
{
    struct error err;
    struct cpu_pool *p = NULL;
    _Atomic int here = 0;
    CHECK(cpu_pool_new(&p, 3, NULL, NULL, NULL, &err));
    if (!p)
        return;
    const struct timespec until_they_sleep = {.tv_nsec = 50000000};
    nanosleep(&until_they_sleep, NULL);
    const time_t begin = time(NULL);
    cpu_pool_run(p, wait_for_the_other, &here, 3);
    CHECK(time(NULL) - begin < 20);
    cpu_pool_free(p);
}

static void refuses_impossible_numbers_of_threads(void)
{
    struct error err;
    struct cpu_pool *p = NULL;
    CHECK(!cpu_pool_new(&p, 0, NULL, NULL, NULL, &err) && err.code == ERROR_INVALID);
    CHECK(!cpu_pool_new(&p, CPU_POOL_MAX_THREADS + 1, NULL, NULL, NULL, &err));
    CHECK(p == NULL);
    cpu_pool_free(NULL);
}

int main(void)
{
    runs_every_task_once();
    survives_many_tiny_loops();
    wakes_threads_that_went_to_sleep();
    works_with_all_its_threads();
    refuses_impossible_numbers_of_threads();
    return TEST_END();
}
