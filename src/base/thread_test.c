#include "base/test.h"
#include "base/thread.h"
#include "base/thread_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file system of our own below `root`, made of the files a test names. */
static char root[64];

static void write_file(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    CHECK(f != NULL);
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

static void make_root(void)
{
    snprintf(root, sizeof root, "/tmp/thread_test.XXXXXX");
    CHECK(mkdtemp(root) != NULL);
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK(system(command) == 0);
}

static void write_siblings(int cpu, const char *list)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    write_file(path, list);
}

static void counts_hyper_threads_once(void)
{
    make_root();
    write_siblings(0, "0,4\n");
    write_siblings(4, "0,4\n");
    write_siblings(1, "1-2\n");
    write_siblings(2, "1-2\n");
    write_siblings(3, "3\n");
    const bool all[6] = {true, true, true, true, true, false};
    const bool second[6] = {false, false, true, false, true, false};
    const bool unknown[6] = {true, false, false, false, false, true};
    const bool none[6] = {false};
    CHECK(thread_count_cores(root, all, 6) == 3);
    CHECK(thread_count_cores(root, second, 6) == 2);
    CHECK(thread_count_cores(root, unknown, 6) == 2);
    CHECK(thread_count_cores(root, none, 6) == 1);
    remove_root();
}

static void keeps_to_control_groups(void)
{
    static const struct {
        const char *why;
        const char *cgroup;
        const char *file[2], *text[2];
        int want;
    } row[] = {
        {"no limit", "0::/a/b\n", {"/sys/fs/cgroup/a/b/cpu.max"}, {"max 100000\n"}, 8},
        {"own limit", "0::/a/b\n", {"/sys/fs/cgroup/a/b/cpu.max"}, {"300000 100000\n"}, 3},
        {"less than one", "0::/a\n", {"/sys/fs/cgroup/a/cpu.max"}, {"50000 100000\n"}, 1},
        {"limit above",
         "0::/a/b\n",
         {"/sys/fs/cgroup/a/b/cpu.max", "/sys/fs/cgroup/a/cpu.max"},
         {"500000 100000\n", "250000 100000\n"},
         2},
        {"container", "0::/not/there\n", {"/sys/fs/cgroup/cpu.max"}, {"400000 100000\n"}, 4},
        {"root group", "0::/\n", {"/sys/fs/cgroup/cpu.max"}, {"400000 100000\n"}, 4},
        {"version 1",
         "5:memory:/x\n4:cpuacct,cpu:/a\n0::/\n",
         {"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us"},
         {"600000\n", "100000\n"},
         6},
        {"version 1 without limit",
         "4:cpu:/\n",
         {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"},
         {"-1\n", "100000\n"},
         8},
        {"other controller", "4:cpuset:/a\n", {"/sys/fs/cgroup/a/cpu.max"}, {"100000 100000\n"}, 8},
        {"nonsense", "garbage\n::\n", {"/sys/fs/cgroup/cpu.max"}, {"hello\n"}, 8},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        make_root();
        write_file("/proc/self/cgroup", row[i].cgroup);
        for (int k = 0; k < 2 && row[i].file[k]; k++)
            write_file(row[i].file[k], row[i].text[k]);
        const int got = thread_quota(root, 8);
        if (got != row[i].want)
            fprintf(stderr, "%s: %d\n", row[i].why, got);
        CHECK(got == row[i].want);
        remove_root();
    }
}

static void finds_cores_on_this_machine(void)
{
    const int cores = thread_physical_cores();
    CHECK(cores >= 1 && cores <= sysconf(_SC_NPROCESSORS_CONF));
}

static void *use_stack(void *arg)
{
    volatile char room[6 << 20];
    for (size_t i = 0; i < sizeof room; i += 1024)
        room[i] = 1;
    *(int *)arg = room[1024] + 41;
    return NULL;
}

static void starts_threads_with_the_stack_asked_for(void)
{
    pthread_t t;
    struct error err;
    int answer = 0;
    CHECK(thread_start(&t, use_stack, &answer, (size_t)9000001, &err));
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(answer == 42);
    CHECK(!thread_start(&t, use_stack, &answer, (size_t)-1, &err));
}

int main(void)
{
    counts_hyper_threads_once();
    keeps_to_control_groups();
    finds_cores_on_this_machine();
    starts_threads_with_the_stack_asked_for();
    return TEST_END();
}
