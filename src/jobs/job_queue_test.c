#include "jobs/job_testing.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char folder[64];

static struct job_queue *fresh(void)
{
    struct job_queue_settings s;
    job_testing_make(folder);
    s = job_testing_settings(folder);
    return job_testing_open(&s);
}

static void end(struct job_queue *q)
{
    job_queue_close(q);
    job_testing_remove(folder);
}

static void runs_jobs_in_the_order_they_came(void)
{
    struct job_queue *q = fresh();
    char id[20][JOB_ID_BYTES];
    struct error err = {0};
    struct job j;
    bool found;
    int64_t ahead = -1;

    for (int i = 0; i < 20; i++)
        CHECK(job_testing_submit(q, id[i], i % 2));
    CHECK(job_queue_ahead(q, &ahead, id[7], &err) && ahead == 7);
    for (int i = 0; i < 20; i++) {
        CHECK(job_queue_next(q, &j, &found, &err) && found && strcmp(j.id, id[i]) == 0);
        CHECK(j.state == JOB_LOADING && j.attempts == 1 && j.started > 0 && j.has_image == i % 2);
        CHECK(strcmp(j.request, "{\"prompt\":\"a cat\"}") == 0 && strcmp(j.owner, "me") == 0);
        /* The third goes back in line, and is the next again. */
        if (i == 2) {
            CHECK(job_queue_requeue(q, j.id, "worker_died", "it died", false, NULL, &err));
            job_clear(&j);
            CHECK(job_queue_next(q, &j, &found, &err) && found && strcmp(j.id, id[2]) == 0);
            CHECK(j.attempts == 2);
        }
        job_clear(&j);
    }
    CHECK(job_queue_next(q, &j, &found, &err) && !found);
    CHECK(job_queue_counts(q).n[JOB_LOADING] == 20);
    end(q);
}

static void follows_a_job_to_its_result(void)
{
    struct job_queue *q = fresh();
    char id[JOB_ID_BYTES], name[JOB_FILE_NAME_BYTES], preview[JOB_FILE_NAME_BYTES];
    const char *const names[] = {name};
    struct error err = {0};
    struct job j;
    bool found;

    CHECK(job_testing_submit(q, id, true));
    CHECK(job_testing_count_files(folder, "inputs") == 1);
    CHECK(!job_queue_finish(q, id, "{}", names, 0, &err) && err.code == ERROR_INVALID);
    CHECK(!job_queue_start(q, id, &err) && err.code == ERROR_INVALID);
    CHECK(job_queue_next(q, &j, &found, &err) && found);
    job_clear(&j);
    CHECK(job_queue_start(q, id, &err));
    CHECK(job_testing_output(q, id, "preview.jpg", 10, preview));
    job_queue_progress(q, id, &(struct job_progress){"generation", 0.5, 3, preview});
    job_queue_progress(q, id, &(struct job_progress){NULL, 0.25, -1, "../../etc/passwd"});
    CHECK(job_queue_get(q, &j, id, &err));
    CHECK(j.state == JOB_PROCESSING && j.progress == 0.5 && strcmp(j.phase, "generation") == 0);
    CHECK(j.seconds_left < 0 && strcmp(j.preview, preview) == 0);
    job_clear(&j);

    snprintf(name, sizeof name, "%s.0.png", id);
    CHECK(!job_queue_finish(q, id, "{}", names, 1, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(job_testing_output(q, id, "0.png", 3000, name));
    CHECK(job_queue_finish(q, id, "{\"seeds\":[7]}", names, 1, &err));
    CHECK(job_queue_get(q, &j, id, &err));
    CHECK(j.state == JOB_DONE && j.finished >= j.started && j.started >= j.created);
    CHECK(j.bytes == 3010 && strcmp(j.result, "{\"seeds\":[7]}") == 0 && j.progress == 1);
    CHECK(j.outputs && strlen(j.outputs) == strlen(name) + 1);
    job_clear(&j);
    CHECK(job_testing_count_files(folder, "outputs") == 1); /* the preview went */
    CHECK(job_queue_counts(q).final_bytes == 3010);
    CHECK(job_queue_remove(q, id, &err));
    CHECK(!job_queue_get(q, &j, id, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(job_testing_count_files(folder, "outputs") == 0);
    CHECK(job_testing_count_files(folder, "inputs") == 0);
    CHECK(job_queue_counts(q).final_bytes == 0 && job_queue_counts(q).n[JOB_DONE] == 0);
    end(q);
}

static void refuses_more_than_its_limit(void)
{
    struct job_queue_settings s;
    struct error err = {0};
    char id[JOB_ID_BYTES], big[JOB_TEXT_MAX_BYTES + 2];
    const struct job_submission job = {.family = "native", .request = "{}"};

    job_testing_make(folder);
    s = job_testing_settings(folder);
    s.max_queued = 3;
    struct job_queue *q = job_testing_open(&s);
    for (int i = 0; i < 3; i++)
        CHECK(job_queue_submit(q, id, &job, &err));
    CHECK(!job_queue_submit(q, id, &job, &err) && err.code == ERROR_FULL);
    CHECK(error_http_status(err.code) == 429);
    CHECK(job_testing_run_one(q, 10));
    CHECK(job_queue_submit(q, id, &job, &err));

    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = 0;
    const struct job_submission too_long = {.family = "native", .request = big};
    CHECK(!job_queue_submit(q, id, &too_long, &err) && err.code == ERROR_LIMIT);
    const struct job_submission bad_family = {.family = "much too long a name", .request = "{}"};
    CHECK(!job_queue_submit(q, id, &bad_family, &err) && err.code == ERROR_INVALID);
    end(q);
}

static void cancels_by_state(void)
{
    struct job_queue *q = fresh();
    char id[3][JOB_ID_BYTES];
    enum job_queue_cancel how;
    enum job_state state;
    struct error err = {0};
    struct job j;
    bool found;

    for (int i = 0; i < 3; i++)
        CHECK(job_testing_submit(q, id[i], true));
    CHECK(job_queue_cancel(q, &how, id[1], &err) && how == JOB_QUEUE_CANCELLED);
    CHECK(job_queue_cancel(q, &how, id[1], &err) && how == JOB_QUEUE_CANCEL_LATE);
    CHECK(job_queue_next(q, &j, &found, &err) && found && strcmp(j.id, id[0]) == 0);
    job_clear(&j);
    CHECK(job_queue_cancel(q, &how, id[0], &err) && how == JOB_QUEUE_CANCEL_ASKED);
    CHECK(!job_queue_remove(q, id[0], &err) && err.code == ERROR_INVALID);
    CHECK(job_queue_cancelled(q, id[0], &err));
    CHECK(job_testing_state(q, id[0]) == JOB_CANCELLED);

    /* A cancel that was asked for holds even if the worker dies before it hears of it. */
    CHECK(job_queue_next(q, &j, &found, &err) && found && strcmp(j.id, id[2]) == 0);
    job_clear(&j);
    CHECK(job_queue_cancel(q, &how, id[2], &err) && how == JOB_QUEUE_CANCEL_ASKED);
    CHECK(job_queue_requeue(q, id[2], "worker_died", "it died", false, &state, &err));
    CHECK(state == JOB_CANCELLED && job_testing_state(q, id[2]) == JOB_CANCELLED);
    CHECK(!job_queue_cancel(q, &how, "3f2504e0-4f89-41d3-9a0c-0305e82c3301", &err) &&
          err.code == ERROR_NOT_FOUND);
    CHECK(job_queue_counts(q).n[JOB_CANCELLED] == 3);
    end(q);
}

static void gives_up_after_the_last_attempt(void)
{
    struct job_queue *q = fresh();
    char id[JOB_ID_BYTES];
    enum job_state state;
    struct error err = {0};
    struct job j;
    bool found;

    CHECK(job_testing_submit(q, id, false));
    /* Attempts that are given back do not count. */
    for (int i = 0; i < 4; i++) {
        CHECK(job_queue_next(q, &j, &found, &err) && found && j.attempts == 1);
        job_clear(&j);
        CHECK(job_queue_requeue(q, id, "stop", "the server stops", true, &state, &err));
        CHECK(state == JOB_QUEUED);
    }
    for (int i = 1; i <= 2; i++) {
        CHECK(job_queue_next(q, &j, &found, &err) && found && j.attempts == i);
        job_clear(&j);
        CHECK(job_queue_requeue(q, id, "memory", "killed for memory", false, &state, &err));
        CHECK(state == (i < 2 ? JOB_QUEUED : JOB_ERROR));
    }
    CHECK(job_queue_get(q, &j, id, &err) && strcmp(j.error_code, "memory") == 0);
    CHECK(strcmp(j.error_text, "attempt 2 of 2: killed for memory") == 0);
    job_clear(&j);
    CHECK(job_queue_next(q, &j, &found, &err) && !found);
    CHECK(!job_queue_requeue(q, id, "x", "x", false, NULL, &err) && err.code == ERROR_INVALID);
    end(q);
}

static void lists_by_state_and_page(void)
{
    enum { N = 57, PAGE = 10 };
    struct job_queue *q = fresh();
    char id[N][JOB_ID_BYTES], room[JOB_ID_BYTES], cursor[JOB_QUEUE_CURSOR_BYTES];
    bool met[N] = {false};
    struct error err = {0};
    struct job_list list;

    for (int i = 0; i < N; i++)
        CHECK(job_testing_submit(q, id[i], false));
    for (int i = 0; i < 5; i++)
        CHECK(job_testing_run_one(q, 1));
    struct job_filter f = {.max_n = PAGE};
    double last = 1e300;
    int n = 0;
    for (bool more = true; more;) {
        CHECK(job_queue_list(q, &list, &f, &err));
        more = list.n == PAGE;
        for (size_t i = 0; i < list.n; i++, n++) {
            CHECK(list.jobs[i].created <= last && !list.jobs[i].request);
            last = list.jobs[i].created;
            for (int k = 0; k < N; k++)
                if (strcmp(id[k], list.jobs[i].id) == 0) {
                    CHECK(!met[k]);
                    met[k] = true;
                }
        }
        if (more) {
            job_queue_cursor(cursor, &list.jobs[list.n - 1]);
            CHECK(job_queue_use_cursor(&f, room, cursor, &err));
        }
        job_list_clear(&list);
    }
    CHECK(n == N);
    const struct job_filter done = {.states = 1u << JOB_DONE, .owner = "me", .max_n = 100};
    CHECK(job_queue_list(q, &list, &done, &err) && list.n == 5);
    job_list_clear(&list);
    const struct job_filter other = {.owner = "you", .max_n = 100};
    CHECK(job_queue_list(q, &list, &other, &err) && list.n == 0);
    job_list_clear(&list);
    const struct job_filter huge = {.max_n = JOB_STORE_PAGE_MAX + 1};
    CHECK(!job_queue_list(q, &list, &huge, &err) && err.code == ERROR_INVALID);
    static const char *const bad[] = {"", "_", "1_x", "x_3f2504e0-4f89-41d3-9a0c-0305e82c3301",
                                      "1e999_3f2504e0-4f89-41d3-9a0c-0305e82c3301"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!job_queue_use_cursor(&f, room, bad[i], &err) && err.code == ERROR_INVALID);
    end(q);
}

static void forgets_by_age_count_and_bytes(void)
{
    static const struct {
        const char *why;
        double seconds;
        int64_t jobs, bytes;
        int n_left;
    } row[] = {
        {"for ever", 0, 0, 0, 100},       {"by count", 0, 7, 0, 7},
        {"by bytes", 0, 0, 5500, 5},      {"young", 1000, 0, 0, 100},
        {"the last is kept", 0, 0, 1, 1}, {"the first bound", 0, 9, 3000, 3},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct job_queue_settings s;
        char id[JOB_ID_BYTES];
        job_testing_make(folder);
        s = job_testing_settings(folder);
        s.keep_seconds = row[i].seconds;
        s.keep_jobs = row[i].jobs;
        s.keep_bytes = row[i].bytes;
        struct job_queue *q = job_testing_open(&s);
        for (int k = 0; k < 100; k++)
            CHECK(job_testing_submit(q, id, k % 2) && job_testing_run_one(q, k % 2 ? 990 : 1000));
        const int n = (int)job_queue_counts(q).n[JOB_DONE];
        if (n != row[i].n_left)
            fprintf(stderr, "%s: %d left\n", row[i].why, n);
        CHECK(n == row[i].n_left && job_queue_counts(q).final_bytes == n * 1000);
        CHECK(job_testing_count_files(folder, "outputs") == n);
        CHECK(job_testing_count_files(folder, "inputs") == (n + 1) / 2);
        CHECK(job_testing_state(q, id) == JOB_DONE);
        end(q);
    }
}

static void forgets_the_old_even_when_asked_later(void)
{
    struct job_queue_settings s;
    char id[JOB_ID_BYTES];
    struct error err = {0};
    int removed = 0;

    job_testing_make(folder);
    s = job_testing_settings(folder);
    s.keep_seconds = 0.05;
    struct job_queue *q = job_testing_open(&s);
    CHECK(job_testing_submit(q, id, true) && job_testing_run_one(q, 10));
    CHECK(job_testing_submit(q, id, true));
    usleep(120000);
    CHECK(job_queue_expire(q, &removed, &err) && removed == 1);
    CHECK(job_queue_counts(q).n[JOB_DONE] == 0);
    CHECK(job_testing_state(q, id) == JOB_QUEUED); /* waiting never makes too old */
    end(q);
}

static void puts_files_and_rows_in_order_at_start(void)
{
    struct job_queue *q = fresh();
    struct job_queue_settings s = job_testing_settings(folder);
    char id[5][JOB_ID_BYTES], path[JOB_FILES_PATH_BYTES], stranger[JOB_ID_BYTES];
    char name[JOB_FILE_NAME_BYTES];
    struct error err = {0};
    struct job j;
    bool found;

    for (int i = 0; i < 5; i++)
        CHECK(job_testing_submit(q, id[i], true));
    CHECK(job_testing_run_one(q, 10) && job_testing_run_one(q, 20)); /* 0 and 1 done */
    CHECK(job_queue_next(q, &j, &found, &err) && found);             /* 2 runs */
    job_clear(&j);
    CHECK(job_testing_output(q, id[2], "0.png", 5, name));
    job_new_id(stranger);
    CHECK(job_testing_output(q, stranger, "0.png", 5, name));
    CHECK(job_testing_output(q, id[0], "1.png", 5, name)); /* more than its row tells */
    CHECK(job_files_write_input(job_queue_files(q), stranger, JOB_FILES_MASK, "x", 1, &err));
    snprintf(path, sizeof path, "%s/outputs/notes.txt", folder);
    CHECK(fs_write(path, "mine", 4, &err));
    snprintf(path, sizeof path, "%s/outputs/.tmp-1-2", folder);
    CHECK(fs_write(path, "half", 4, &err));
    snprintf(path, sizeof path, "%s/outputs/%s.0.png", folder, id[1]);
    CHECK(unlink(path) == 0); /* 1 lost its result */
    snprintf(path, sizeof path, "%s/inputs/%s.image", folder, id[3]);
    CHECK(unlink(path) == 0); /* 3 lost its input */
    job_queue_close(q);

    q = job_testing_open(&s);
    static const enum job_state want[] = {JOB_DONE, JOB_ERROR, JOB_QUEUED, JOB_ERROR, JOB_QUEUED};
    for (int i = 0; i < 5; i++)
        CHECK(job_testing_state(q, id[i]) == want[i]);
    CHECK(job_testing_count_files(folder, "outputs") == 2); /* of 0, and what is not ours */
    CHECK(job_testing_count_files(folder, "inputs") == 4);
    CHECK(job_queue_get(q, &j, id[1], &err) && strcmp(j.error_code, "file_missing") == 0);
    CHECK(!j.outputs && !j.result && j.bytes == 10);
    job_clear(&j);
    CHECK(job_queue_get(q, &j, id[2], &err) && j.attempts == 1);
    CHECK(strstr(j.error_text, "server stopped") != NULL);
    job_clear(&j);

    /* Found running once more, it fails with the reason. */
    CHECK(job_queue_next(q, &j, &found, &err) && found && strcmp(j.id, id[2]) == 0);
    job_clear(&j);
    CHECK(job_queue_start(q, id[2], &err));
    job_queue_close(q);
    q = job_testing_open(&s);
    CHECK(job_queue_get(q, &j, id[2], &err) && j.state == JOB_ERROR);
    CHECK(strcmp(j.error_text, "attempt 2 of 2: the server stopped while the job ran") == 0);
    job_clear(&j);
    CHECK(job_queue_counts(q).n[JOB_ERROR] == 3 && job_queue_counts(q).n[JOB_QUEUED] == 1);
    end(q);
}

static void lets_one_server_into_a_folder(void)
{
    struct job_queue *q = fresh(), *second = NULL;
    struct job_queue_settings s = job_testing_settings(folder);
    struct error err = {0};
    CHECK(!job_queue_open(&second, &s, &err) && err.code == ERROR_BUSY && !second);
    end(q);
}

static void says_what_a_damaged_database_means(void)
{
    struct job_queue *q = fresh();
    struct job_queue_settings s = job_testing_settings(folder);
    char id[JOB_ID_BYTES], path[JOB_FILES_PATH_BYTES], *bytes = NULL, *after = NULL;
    struct error err = {0};
    size_t n = 0, n_after = 0;

    for (int i = 0; i < 50; i++)
        CHECK(job_testing_submit(q, id, true));
    CHECK(job_testing_run_one(q, 10));
    CHECK(job_files_database(job_queue_files(q), path, &err));
    job_queue_close(q);
    CHECK(fs_read(&bytes, &n, path, 10 << 20, &err) && n > 20000);
    for (size_t i = 5000; bytes && i < n - 4000; i++)
        bytes[i] = (char)(i * 31);
    CHECK(fs_write(path, bytes, n, &err));

    CHECK(!job_queue_open(&q, &s, &err) && err.code == ERROR_CORRUPT && !q);
    fprintf(stderr, "%s\n", err.text);
    CHECK(strstr(err.text, "jobs.sqlite3") && strstr(err.text, "damaged-<time>"));
    CHECK(fs_read(&after, &n_after, path, 10 << 20, &err) && n_after == n);
    CHECK(after && bytes && memcmp(after, bytes, n) == 0); /* untouched */
    CHECK(job_testing_count_files(folder, "outputs") == 1);

    s.set_damaged_aside = true;
    q = job_testing_open(&s);
    CHECK(job_testing_count_files(folder, "outputs") == 0);
    CHECK(job_testing_submit(q, id, true));
    char command[200];
    snprintf(
        command, sizeof command,
        "cd %s/damaged-* && test $(ls outputs | wc -l) = 1 && test $(wc -c < jobs.sqlite3) = %zu",
        folder, n);
    CHECK(system(command) == 0);
    job_queue_close(q);

    /* No database at all, but files of jobs: nothing is swept away. */
    s.set_damaged_aside = false;
    CHECK(unlink(path) == 0);
    CHECK(!job_queue_open(&q, &s, &err) && err.code == ERROR_CORRUPT);
    CHECK(job_testing_count_files(folder, "inputs") == 1);
    CHECK(fs_write(path, "this is no database, but a text that somebody has put there", 59, &err));
    CHECK(!job_queue_open(&q, &s, &err) && err.code == ERROR_CORRUPT);
    free(bytes);
    free(after);
    job_testing_remove(folder);
}

/* In a child, because a limit of file sizes stays. */
static int fill_the_disk(void)
{
    const struct rlimit limit = {.rlim_cur = 200 << 10, .rlim_max = 200 << 10};
    struct job_queue_settings s = job_testing_settings(folder);
    struct job_queue *q = job_testing_open(&s);
    struct error err = {0};
    char id[JOB_ID_BYTES];
    static char picture[64 << 10];
    int accepted = 0;

    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    static char text[JOB_TEXT_MAX_BYTES];
    memset(text, ' ', 60 << 10);
    text[0] = '{';
    text[60 << 10] = '}';
    const struct job_submission long_job = {
        .family = "native", .request = text, .image = picture, .image_bytes = sizeof picture};
    while (accepted < 100 && job_queue_submit(q, id, &long_job, &err))
        accepted++;
    CHECK(accepted < 100 && err.code == ERROR_IO);
    fprintf(stderr, "after %d: %s\n", accepted, err.text);
    CHECK(job_queue_counts(q).n[JOB_QUEUED] == accepted);
    CHECK(job_testing_count_files(folder, "inputs") == accepted); /* nothing left of the refused */
    static char large[300 << 10];
    const struct job_submission large_job = {
        .family = "native", .request = "{}", .image = large, .image_bytes = sizeof large};
    CHECK(!job_queue_submit(q, id, &large_job, &err) && err.code == ERROR_IO);
    CHECK(job_testing_count_files(folder, "inputs") == accepted);
    job_queue_close(q);
    return test_failures;
}

static void fails_cleanly_on_a_full_disk(void)
{
    struct error err = {0};
    int status = 0;
    char id[JOB_ID_BYTES];

    job_testing_make(folder);
    const pid_t child = fork();
    if (child == 0)
        _exit(fill_the_disk() ? 1 : 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct job_queue_settings s = job_testing_settings(folder);
    struct job_queue *q = job_testing_open(&s); /* room again: all is well */
    CHECK(job_queue_check(q, &err));
    CHECK(job_queue_counts(q).n[JOB_QUEUED] == job_testing_count_files(folder, "inputs"));
    CHECK(job_queue_counts(q).n[JOB_ERROR] == 0);
    CHECK(job_testing_submit(q, id, true));
    end(q);
}

int main(void)
{
    runs_jobs_in_the_order_they_came();
    follows_a_job_to_its_result();
    refuses_more_than_its_limit();
    cancels_by_state();
    gives_up_after_the_last_attempt();
    lists_by_state_and_page();
    forgets_by_age_count_and_bytes();
    forgets_the_old_even_when_asked_later();
    puts_files_and_rows_in_order_at_start();
    lets_one_server_into_a_folder();
    says_what_a_damaged_database_means();
    fails_cleanly_on_a_full_disk();
    return TEST_END();
}
