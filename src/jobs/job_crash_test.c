/* A process that accepts and runs jobs is killed at random moments, again and again on the same
 * data folder.  What it said it had accepted is never lost. */
#include "jobs/job_testing.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { KILLS = 100, IDS_MAX = 20000 };

/* What the child tells: 'a' accepted, 'r' an attempt began, 'd' done. */
struct note {
    char what;
    char id[JOB_ID_BYTES];
};

static struct {
    char id[JOB_ID_BYTES];
    int runs;
    bool done;
} seen[IDS_MAX];
static int n_seen;

static void say(int fd, char what, const char *id)
{
    struct note n = {.what = what};
    memcpy(n.id, id, JOB_ID_BYTES);
    if (write(fd, &n, sizeof n) != sizeof n)
        _exit(1);
}

static void run_some(struct job_queue *q, int fd, unsigned *random)
{
    struct job j;
    struct error err = {0};
    bool found = false;
    char name[JOB_FILE_NAME_BYTES], part[JOB_FILE_NAME_BYTES];
    const char *const names[] = {name};

    if (!job_queue_next(q, &j, &found, &err))
        _exit(3);
    if (!found)
        return;
    say(fd, 'r', j.id);
    if (!job_queue_start(q, j.id, &err) || !job_testing_output(q, j.id, "0.png.part", 100, part) ||
        !job_testing_output(q, j.id, "0.png", 3000, name))
        _exit(4);
    if (rand_r(random) % 5 == 0) {
        if (!job_queue_fail(q, j.id, "bad", "no", &err))
            _exit(5);
    } else if (!job_queue_finish(q, j.id, "{}", names, 1, &err)) {
        _exit(6);
    }
    say(fd, 'd', j.id);
    job_clear(&j);
}

static _Noreturn void be_the_server(const char *folder, int fd, unsigned random)
{
    struct job_queue_settings s = job_testing_settings(folder);
    struct job_queue *q = NULL;
    struct error err = {0};
    char id[JOB_ID_BYTES];

    s.max_queued = 40;
    if (!job_queue_open(&q, &s, &err)) {
        fprintf(stderr, "child: %s\n", err.text);
        _exit(2);
    }
    for (;;) {
        const struct job_submission what = {.family = "native",
                                            .request = "{}",
                                            .image = rand_r(&random) % 2 ? "picture" : NULL,
                                            .image_bytes = 7};
        if (job_queue_submit(q, id, &what, &err))
            say(fd, 'a', id);
        else if (err.code != ERROR_FULL)
            _exit(7);
        if (rand_r(&random) % 3)
            run_some(q, fd, &random);
    }
}

static int find(const char *id)
{
    for (int i = n_seen; i-- > 0;)
        if (strcmp(seen[i].id, id) == 0)
            return i;
    return -1;
}

static void hear(int fd)
{
    struct note n;
    while (read(fd, &n, sizeof n) == sizeof n) {
        int i = find(n.id);
        if (i < 0 && n_seen < IDS_MAX) {
            i = n_seen++;
            memcpy(seen[i].id, n.id, JOB_ID_BYTES);
        }
        if (n.what == 'r')
            seen[i].runs++;
        if (n.what == 'd')
            seen[i].done = true;
    }
}

static void check_rows_and_files(struct job_queue *q, const char *folder)
{
    struct job_filter f = {.max_n = 500};
    struct job_list list;
    struct error err = {0};
    char id[JOB_ID_BYTES], cursor[JOB_QUEUE_CURSOR_BYTES];
    int n_rows = 0, n_inputs = 0, n_outputs = 0;
    bool more = true;

    while (more) {
        CHECK(job_queue_list(q, &list, &f, &err));
        more = list.n > 0;
        for (size_t i = 0; i < list.n; i++) {
            const struct job *j = &list.jobs[i];
            int64_t bytes = 0;
            n_rows++;
            n_inputs += j->has_image;
            n_outputs += j->state == JOB_DONE;
            CHECK(j->attempts <= 2 && j->state != JOB_LOADING && j->state != JOB_PROCESSING);
            CHECK(job_files_measure_inputs(job_queue_files(q), j, &bytes, &err));
            CHECK(j->state != JOB_DONE ||
                  (job_files_measure(job_queue_files(q), j->id, j->outputs, &bytes, &err) &&
                   bytes == 3000));
            CHECK(j->error_code[0] == 0 || strcmp(j->error_code, "file_missing") != 0);
            const int k = find(j->id);
            CHECK(k < 0 || !seen[k].done || job_is_final(j->state));
        }
        if (more) {
            job_queue_cursor(cursor, &list.jobs[list.n - 1]);
            CHECK(job_queue_use_cursor(&f, id, cursor, &err));
        }
        job_list_clear(&list);
    }
    CHECK(job_testing_count_files(folder, "inputs") == n_inputs);
    CHECK(job_testing_count_files(folder, "outputs") == n_outputs);
    const struct job_queue_counts c = job_queue_counts(q);
    CHECK(c.n[0] + c.n[1] + c.n[2] + c.n[3] + c.n[4] + c.n[5] == n_rows);
}

static void kill_once(const char *folder, unsigned random)
{
    int fds[2];
    struct error err = {0};
    CHECK(pipe(fds) == 0);
    const pid_t child = fork();
    if (child == 0)
        be_the_server(folder, fds[1], random);
    close(fds[1]);
    struct pollfd p = {.fd = fds[0], .events = POLLIN};
    poll(&p, 1, rand_r(&random) % 4 ? 10000 : 20); /* some die while they open */
    const struct timespec t = {.tv_nsec = (long)(rand_r(&random) % 25000) * 1000};
    nanosleep(&t, NULL);
    kill(child, SIGKILL);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    hear(fds[0]);
    close(fds[0]);

    struct job_queue_settings s = job_testing_settings(folder);
    struct job_queue *q = job_testing_open(&s);
    if (!q)
        return;
    CHECK(job_queue_check(q, &err));
    for (int i = 0; i < n_seen; i++) {
        CHECK(job_testing_state(q, seen[i].id) != (enum job_state)JOB_N_STATES);
        CHECK(seen[i].runs <= 2);
    }
    check_rows_and_files(q, folder);
    job_queue_close(q);
}

static void loses_nothing_when_killed(void)
{
    char folder[64];
    job_testing_make(folder);
    for (unsigned i = 0; i < KILLS && test_failures == 0; i++)
        kill_once(folder, i * 7919 + (unsigned)getpid());

    /* In the end everything that was accepted ends. */
    struct job_queue_settings s = job_testing_settings(folder);
    struct job_queue *q = job_testing_open(&s);
    while (q && job_queue_counts(q).n[JOB_QUEUED] > 0 && test_failures == 0)
        CHECK(job_testing_run_one(q, 3000));
    for (int i = 0; q && i < n_seen; i++)
        CHECK(job_is_final(job_testing_state(q, seen[i].id)));
    int runs = 0, twice = 0;
    for (int i = 0; i < n_seen; i++) {
        runs += seen[i].runs;
        twice += seen[i].runs == 2;
    }
    printf("%d kills, %d jobs accepted, %d runs, %d jobs run twice\n", KILLS, n_seen, runs, twice);
    CHECK(n_seen > KILLS / 4 && twice > 0); /* how many depends on how busy the machine is */
    job_queue_close(q);
    job_testing_remove(folder);
}

int main(void)
{
    loses_nothing_when_killed();
    return TEST_END();
}
