/* Clients, a supervisor and readers at once; meant for the thread sanitizer.  Also tells how long
 * answers take, without a bound that a loaded machine would break. */
#include "base/clock.h"
#include "base/thread.h"
#include "jobs/job_testing.h"

#include <stdatomic.h>

enum { N_CLIENTS = 6, JOBS_EACH = 25, N_READERS = 2 };

static struct job_queue *queue;
static atomic_int submitted, cancelled, told;
static atomic_bool stop;

static void note(void *ctx, const char *id)
{
    (void)ctx;
    CHECK(job_id_is_valid(id));
    atomic_fetch_add(&told, 1);
}

static void *be_a_client(void *arg)
{
    char id[JOB_ID_BYTES];
    struct error err = {0};
    const int me = *(const int *)arg;
    for (int i = 0; i < JOBS_EACH; i++) {
        CHECK(job_testing_submit(queue, id, i % 2));
        atomic_fetch_add(&submitted, 1);
        enum job_queue_cancel how;
        if ((i + me) % 5 == 0 && job_queue_cancel(queue, &how, id, &err))
            atomic_fetch_add(&cancelled, 1);
        if ((i + me) % 7 == 0) {
            struct job j;
            CHECK(job_queue_get(queue, &j, id, &err));
            job_clear(&j);
        }
    }
    return NULL;
}

static void *be_a_reader(void *arg)
{
    const struct job_filter f = {.max_n = 20};
    struct error err = {0};
    (void)arg;
    while (!atomic_load(&stop)) {
        struct job_list list;
        CHECK(job_queue_list(queue, &list, &f, &err));
        for (size_t i = 0; i < list.n; i++)
            CHECK(list.jobs[i].progress >= 0 && list.jobs[i].progress <= 1);
        job_list_clear(&list);
        const struct job_queue_counts c = job_queue_counts(queue);
        CHECK(c.n[JOB_QUEUED] >= 0);
        usleep(200);
    }
    return NULL;
}

static bool supervise_one(void)
{
    struct job j;
    struct error err = {0};
    bool found = false;
    char name[JOB_FILE_NAME_BYTES];
    const char *const names[] = {name};

    CHECK(job_queue_next(queue, &j, &found, &err));
    if (!found)
        return false;
    CHECK(job_queue_start(queue, j.id, &err));
    job_queue_progress(queue, j.id, &(struct job_progress){"generation", 0.5, 1, NULL});
    CHECK(job_testing_output(queue, j.id, "0.png", 100, name));
    if (j.seq % 11 == 0 && j.attempts == 1)
        CHECK(job_queue_requeue(queue, j.id, "worker_died", "died", false, NULL, &err));
    else if (j.seq % 13 == 0)
        CHECK(job_queue_fail(queue, j.id, "bad", "it is bad", &err));
    else
        CHECK(job_queue_finish(queue, j.id, "{}", names, 1, &err));
    job_clear(&j);
    return true;
}

static void *be_the_supervisor(void *arg)
{
    (void)arg;
    while (supervise_one() || atomic_load(&submitted) < N_CLIENTS * JOBS_EACH)
        ;
    return NULL;
}

static void serves_many_threads(void)
{
    pthread_t client[N_CLIENTS], reader[N_READERS], supervisor;
    int number[N_CLIENTS];
    char folder[64];
    struct error err = {0};

    job_testing_make(folder);
    struct job_queue_settings s = job_testing_settings(folder);
    s.keep_jobs = 50;
    queue = job_testing_open(&s);
    job_queue_on_change(queue, note, NULL);
    for (int i = 0; i < N_CLIENTS; i++) {
        number[i] = i;
        CHECK(thread_start(&client[i], be_a_client, &number[i], 0, &err));
    }
    for (int i = 0; i < N_READERS; i++)
        CHECK(thread_start(&reader[i], be_a_reader, NULL, 0, &err));
    CHECK(thread_start(&supervisor, be_the_supervisor, NULL, 0, &err));
    for (int i = 0; i < N_CLIENTS; i++)
        pthread_join(client[i], NULL);
    pthread_join(supervisor, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < N_READERS; i++)
        pthread_join(reader[i], NULL);

    const struct job_queue_counts c = job_queue_counts(queue);
    CHECK(c.n[JOB_QUEUED] == 0 && c.n[JOB_LOADING] == 0 && c.n[JOB_PROCESSING] == 0);
    CHECK(c.n[JOB_DONE] + c.n[JOB_ERROR] + c.n[JOB_CANCELLED] == 50);
    CHECK(job_testing_count_files(folder, "outputs") == c.n[JOB_DONE]);
    CHECK(atomic_load(&told) > N_CLIENTS * JOBS_EACH);
    CHECK(job_queue_check(queue, &err));
    job_queue_close(queue);
    queue = job_testing_open(&s); /* the counts were those of the rows */
    const struct job_queue_counts again = job_queue_counts(queue);
    CHECK(memcmp(&c, &again, sizeof c) == 0);
    job_queue_close(queue);
    job_testing_remove(folder);
}

static void answers_fast_while_a_thousand_wait(void)
{
    enum { N = 1000 };
    char folder[64], id[N][JOB_ID_BYTES];
    const struct job_filter page = {.max_n = 50};
    struct job_list list;
    struct job j;
    struct error err = {0};
    int64_t ahead;

    job_testing_make(folder);
    struct job_queue_settings s = job_testing_settings(folder);
    queue = job_testing_open(&s);
    const double t0 = clock_seconds();
    for (int i = 0; i < N; i++)
        CHECK(job_testing_submit(queue, id[i], false));
    const double t1 = clock_seconds();
    for (int i = 0; i < N; i++) {
        CHECK(job_queue_get(queue, &j, id[i], &err));
        job_clear(&j);
    }
    const double t2 = clock_seconds();
    for (int i = 0; i < 100; i++) {
        CHECK(job_queue_list(queue, &list, &page, &err) && list.n == 50);
        job_list_clear(&list);
    }
    const double t3 = clock_seconds();
    for (int i = 0; i < 100; i++)
        CHECK(job_queue_ahead(queue, &ahead, id[N - 1 - i], &err) && ahead == N - 1 - i);
    const double t4 = clock_seconds();
    for (int i = 0; i < 100; i++)
        CHECK(job_testing_run_one(queue, 10));
    const double t5 = clock_seconds();
    printf("us: submit %.0f, get %.0f, list of 50 %.0f, ahead %.0f, a whole run %.0f\n",
           (t1 - t0) * 1e6 / N, (t2 - t1) * 1e6 / N, (t3 - t2) * 1e4, (t4 - t3) * 1e4,
           (t5 - t4) * 1e4);
    job_queue_close(queue);
    job_testing_remove(folder);
}

int main(void)
{
    serves_many_threads();
    answers_fast_while_a_thousand_wait();
    return TEST_END();
}
