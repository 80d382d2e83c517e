#include "base/test.h"
#include "memory/memory_reserve.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t far = (uint64_t)1 << 50; /* beyond what any process holds */

static uint64_t others_of(struct memory_reserve *r, uint64_t keep)
{
    const uint64_t others = memory_reserve_begin(r);
    memory_reserve_end(r, keep);
    return others;
}

/* Peaks are given beside what this process holds, which may change a little meanwhile. */
static bool is_about(uint64_t bytes, uint64_t want)
{
    const uint64_t slack = (uint64_t)1 << 40;
    return bytes <= want && bytes > want - slack;
}

static void sees_what_others_will_take(const char *path)
{
    struct memory_reserve *a = NULL, *b = NULL, *c = NULL;
    struct error err;

    CHECK(memory_reserve_open(&a, path, &err) && memory_reserve_open(&b, path, &err));
    CHECK(others_of(a, far) == 0);
    CHECK(is_about(others_of(b, 0), far));
    CHECK(others_of(a, far) == 0); /* its own does not count */
    memory_reserve_set(b, far);
    CHECK(memory_reserve_open(&c, path, &err));
    CHECK(is_about(others_of(c, 0), 2 * far));
    memory_reserve_set(a, 0);
    CHECK(is_about(others_of(c, 0), far));
    memory_reserve_close(b);
    CHECK(others_of(c, 0) == 0);
    memory_reserve_set(a, 1); /* has it already */
    CHECK(others_of(c, 0) == 0);
    memory_reserve_set(a, UINT64_MAX);
    CHECK(others_of(c, 0) > far);
    memory_reserve_close(a);
    memory_reserve_close(c);
}

/* A process that is killed leaves nothing behind that counts. */
static void forgets_the_dead(const char *path)
{
    struct memory_reserve *r = NULL;
    struct error err;
    int ready[2];
    char byte;

    CHECK(pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
        struct memory_reserve *own = NULL;
        bool ok = memory_reserve_open(&own, path, &err);
        memory_reserve_set(own, far);
        ok = ok && write(ready[1], "x", 1) == 1;
        while (ok)
            pause();
        _exit(1);
    }
    CHECK(child > 0 && read(ready[0], &byte, 1) == 1);
    CHECK(memory_reserve_open(&r, path, &err));
    CHECK(is_about(others_of(r, 0), far));
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    CHECK(others_of(r, 0) == 0);
    memory_reserve_close(r);
    close(ready[0]);
    close(ready[1]);
}

/* Each may take what is left under the lock: together they never take more than there is. */
static void never_promises_more_than_there_is(const char *path)
{
    enum { PROCESSES = 6, ROUNDS = 200, ROOM = 4 };
    pid_t child[PROCESSES];

    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        if (child[i] != 0)
            continue;
        struct memory_reserve *r = NULL;
        struct error err;
        bool ok = memory_reserve_open(&r, path, &err);
        for (int k = 0; ok && k < ROUNDS; k++) {
            const uint64_t others = memory_reserve_begin(r);
            const bool fits = others + far <= ROOM * far;
            memory_reserve_end(r, fits ? far : 0);
            if (others > ROOM * far)
                ok = false;
            memory_reserve_set(r, 0);
        }
        memory_reserve_close(r);
        _exit(ok ? 0 : 1);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        CHECK(child[i] > 0 && waitpid(child[i], &status, 0) == child[i] && status == 0);
    }
}

static void bears_more_processes_than_slots(const char *path)
{
    struct memory_reserve *r[MEMORY_RESERVE_SLOTS + 2] = {NULL};
    const size_t n = sizeof r / sizeof r[0];
    struct error err;

    for (size_t i = 0; i < n; i++)
        CHECK(memory_reserve_open(&r[i], path, &err));
    memory_reserve_set(r[0], far);
    CHECK(is_about(others_of(r[n - 1], far), far));
    CHECK(others_of(r[0], 0) == 0); /* the last is not seen */
    for (size_t i = 0; i < n; i++)
        memory_reserve_close(r[i]);
}

static void refuses_what_is_no_file_of_ours(const char *dir)
{
    struct memory_reserve *r = NULL;
    char path[300], link[300];
    struct error err;

    snprintf(path, sizeof path, "%s/none/list", dir);
    CHECK(!memory_reserve_open(&r, path, &err) && strstr(err.text, "none/list"));
    CHECK(!memory_reserve_open(&r, dir, &err));
    snprintf(link, sizeof link, "%s/link", dir);
    CHECK(symlink(path, link) == 0);
    CHECK(!memory_reserve_open(&r, link, &err));
    CHECK(memory_reserve_begin(NULL) == 0);
    memory_reserve_end(NULL, 5);
    memory_reserve_close(NULL);
    CHECK(unlink(link) == 0);
}

int main(void)
{
    char dir[] = "/tmp/memory-reserve-XXXXXX", path[300];

    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/list", dir);
    sees_what_others_will_take(path);
    forgets_the_dead(path);
    never_promises_more_than_there_is(path);
    bears_more_processes_than_slots(path);
    refuses_what_is_no_file_of_ours(dir);
    CHECK(unlink(path) == 0 && rmdir(dir) == 0);
    return TEST_END();
}
