/* Detection on Linux, from trees of files such as kernels show them: meminfo, control groups of
 * both versions, pressure. */
/* For nftw. */
#define _XOPEN_SOURCE 700

#include "base/fs.h"
#include "base/test.h"
#include "memory/machine.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)
#define MEMINFO_16G "MemTotal: 16777216 kB\nMemFree: 1048576 kB\nMemAvailable: 8388608 kB\n"

/* Numbers of bytes as files hold them. */
#define TEXT_512M "536870912\n"
#define TEXT_1G "1073741824\n"
#define TEXT_2G "2147483648\n"
#define TEXT_3G "3221225472\n"
#define TEXT_4G "4294967296\n"
#define TEXT_6G "6442450944\n"

#define GROUP "/sys/fs/cgroup"

static char root[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void start(void)
{
    snprintf(root, sizeof root, "/tmp/machine_test_XXXXXX");
    CHECK(mkdtemp(root) != NULL);
}

static void finish(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Puts a file into the fake system. */
static void put(const char *path, const char *text)
{
    char full[512], folder[512];
    struct error err;

    snprintf(full, sizeof full, "%s%s", root, path);
    snprintf(folder, sizeof folder, "%s", full);
    *strrchr(folder, '/') = 0;
    CHECK(fs_make_folders(folder, &err));
    CHECK(fs_write(full, text, strlen(text), &err));
}

static struct machine detect(void)
{
    struct machine m = {0};
    struct error err;
    CHECK(machine_linux_detect(&m, root, &err));
    return m;
}

enum { MOST_FILES = 12 };

/* A system of 16 GiB with 8 available, but for what the row's files say. */
struct system {
    const char *why;
    struct {
        const char *path, *text;
    } files[MOST_FILES];
    uint64_t total_mib, available_mib;
};

static const struct system no_groups[] = {
    {"nothing limits", {{NULL, NULL}}, 16384, 8192},
    {"a kernel before 3.14 tells what is free",
     {{"/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1048576 kB\n"}},
     16384,
     1024},
    {"more available than there is",
     {{"/proc/meminfo", "MemTotal: 1048576 kB\nMemFree: 1 kB\nMemAvailable: 2097152 kB\n"}},
     1024,
     1024},
    {"other lines before and behind",
     {{"/proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n"
                        "Buffers: 9 kB\nSwapTotal: 99 kB\nHugepagesize: 2048 kB\n"}},
     16384,
     4096},
    {"a group of which nothing is shown", {{"/proc/self/cgroup", "0::/user.slice\n"}}, 16384, 8192},
    {"lines that are none of cgroup's",
     {{"/proc/self/cgroup", "\n0\n0:\nmemory\n:memory:\n"}},
     16384,
     8192},
};

static const struct system version_2[] = {
    {"a group without a limit",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", "max\n"},
      {GROUP "/mine/memory.high", "max\n"},
      {GROUP "/mine/memory.current", TEXT_3G}},
     16384,
     8192},
    {"a limit, and use of which nothing can be taken back",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", TEXT_4G},
      {GROUP "/mine/memory.current", TEXT_3G},
      {GROUP "/mine/memory.stat", "anon 3221225472\nfile 0\ninactive_file 0\nactive_file 0\n"}},
     4096,
     1024},
    {"file pages and slabs that can be taken back do not count as used",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", TEXT_4G},
      {GROUP "/mine/memory.current", TEXT_3G},
      {GROUP "/mine/memory.stat",
       "anon 536870912\nfile 2147483648\nshmem 1\ninactive_file 1073741824\n"
       "active_file 1073741824\nslab_reclaimable 268435456\nslab_unreclaimable 7\n"}},
     4096,
     3328},
    {"no memory.stat: all use counts",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", TEXT_4G},
      {GROUP "/mine/memory.current", TEXT_3G}},
     4096,
     1024},
    {"no memory.current: the limit is all there is",
     {{"/proc/self/cgroup", "0::/mine\n"}, {GROUP "/mine/memory.max", TEXT_4G}},
     4096,
     4096},
    {"more than is allowed in use",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", TEXT_2G},
      {GROUP "/mine/memory.current", TEXT_3G}},
     2048,
     0},
    {"the machine has less left than the group",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", "12884901888\n"},
      {GROUP "/mine/memory.current", TEXT_1G}},
     12288,
     8192},
    {"memory.high below memory.max: available ends where the kernel slows the group down",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", TEXT_4G},
      {GROUP "/mine/memory.high", TEXT_2G},
      {GROUP "/mine/memory.current", TEXT_1G}},
     4096,
     1024},
    {"memory.high alone",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", "max\n"},
      {GROUP "/mine/memory.high", TEXT_2G},
      {GROUP "/mine/memory.current", TEXT_512M}},
     16384,
     1536},
    {"memory.high above memory.max means nothing",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", TEXT_2G},
      {GROUP "/mine/memory.high", TEXT_4G},
      {GROUP "/mine/memory.current", TEXT_1G}},
     2048,
     1024},
    {"memory.low and memory.min promise, they do not limit",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", "max\n"},
      {GROUP "/mine/memory.low", TEXT_1G},
      {GROUP "/mine/memory.min", TEXT_1G}},
     16384,
     8192},
    {"a container that sees its own group as the root",
     {{"/proc/self/cgroup", "0::/\n"},
      {GROUP "/memory.max", TEXT_2G},
      {GROUP "/memory.current", TEXT_512M}},
     2048,
     1536},
    {"the host's path, which is not to be found in the container",
     {{"/proc/self/cgroup", "0::/docker/0123456789abcdef\n"},
      {GROUP "/memory.max", TEXT_2G},
      {GROUP "/memory.current", TEXT_512M}},
     2048,
     1536},
    {"damaged numbers limit nothing",
     {{"/proc/self/cgroup", "0::/mine\n"},
      {GROUP "/mine/memory.max", "\n"},
      {GROUP "/mine/memory.high", "-1\n"}},
     16384,
     8192},
};

static const struct system nested[] = {
    {"the group above limits, not our own",
     {{"/proc/self/cgroup", "0::/slice/mine\n"},
      {GROUP "/slice/mine/memory.max", "max\n"},
      {GROUP "/slice/memory.max", TEXT_4G},
      {GROUP "/slice/memory.current", TEXT_3G}, /* of which 2 GiB are file pages */
      {GROUP "/slice/memory.stat",
       "anon 1073741824\nfile 2147483648\ninactive_file 1073741824\nactive_file 1073741824\n"}},
     4096,
     3072},
    {"our own is the lower of three",
     {{"/proc/self/cgroup", "0::/a/b/c\n"},
      {GROUP "/a/memory.max", TEXT_6G},
      {GROUP "/a/memory.current", TEXT_2G},
      {GROUP "/a/b/memory.max", TEXT_4G},
      {GROUP "/a/b/memory.current", TEXT_1G},
      {GROUP "/a/b/c/memory.max", TEXT_2G},
      {GROUP "/a/b/c/memory.current", TEXT_512M}},
     2048,
     1536},
    {"others have used up what the group above may have, though that is more",
     {{"/proc/self/cgroup", "0::/slice/mine\n"},
      {GROUP "/slice/mine/memory.max", TEXT_4G},
      {GROUP "/slice/mine/memory.current", TEXT_1G},
      {GROUP "/slice/memory.max", TEXT_6G},
      {GROUP "/slice/memory.current", "5905580032\n"}}, /* 5.5 GiB */
     4096,
     512},
    {"memory.high of a group above",
     {{"/proc/self/cgroup", "0::/slice/mine\n"},
      {GROUP "/slice/mine/memory.max", TEXT_4G},
      {GROUP "/slice/mine/memory.current", TEXT_1G},
      {GROUP "/slice/memory.max", "max\n"},
      {GROUP "/slice/memory.high", TEXT_3G},
      {GROUP "/slice/memory.current", TEXT_2G}},
     4096,
     1024},
    {"a group in between shows nothing",
     {{"/proc/self/cgroup", "0::/a/b/c\n"},
      {GROUP "/a/memory.max", TEXT_3G},
      {GROUP "/a/memory.current", TEXT_1G},
      {GROUP "/a/b/c/memory.max", "max\n"}},
     3072,
     2048},
};

static const struct system version_1[] = {
    {"the host's path, which is not to be found in the container",
     {{"/proc/self/cgroup", "5:cpu:/\n4:memory:/host/path/unknown/here\n0::/\n"},
      {GROUP "/memory/memory.limit_in_bytes", TEXT_2G},
      {GROUP "/memory/memory.usage_in_bytes", "1610612736\n"},
      {GROUP "/memory/memory.stat",
       "inactive_file 7\ntotal_inactive_file 536870912\ntotal_active_file 0\n"}},
     2048,
     1024},
    {"no limit is a huge number",
     {{"/proc/self/cgroup", "4:memory:/\n"},
      {GROUP "/memory/memory.limit_in_bytes", "9223372036854771712\n"},
      {GROUP "/memory/memory.usage_in_bytes", "16106127360\n"}},
     16384,
     8192},
    {"nested, and the group above has less left",
     {{"/proc/self/cgroup", "9:memory:/docker/mine\n"},
      {GROUP "/memory/docker/mine/memory.limit_in_bytes", TEXT_3G},
      {GROUP "/memory/docker/mine/memory.usage_in_bytes", TEXT_512M},
      {GROUP "/memory/docker/memory.limit_in_bytes", TEXT_4G},
      {GROUP "/memory/docker/memory.usage_in_bytes", TEXT_4G},
      {GROUP "/memory/docker/memory.stat", "total_inactive_file 0\ntotal_active_file 536870912\n"},
      {GROUP "/memory/memory.limit_in_bytes", "9223372036854771712\n"},
      {GROUP "/memory/memory.usage_in_bytes", TEXT_6G}},
     3072,
     512},
    {"a group of another name is not memory's",
     {{"/proc/self/cgroup", "4:memory_other:/mine\n3:cpu,cpuacct:/mine\n"},
      {GROUP "/memory/mine/memory.limit_in_bytes", TEXT_1G}},
     16384,
     8192},
    {"both versions at once: each limits",
     {{"/proc/self/cgroup", "4:memory:/one\n0::/two\n"},
      {GROUP "/memory/one/memory.limit_in_bytes", TEXT_4G},
      {GROUP "/memory/one/memory.usage_in_bytes", TEXT_1G},
      {GROUP "/two/memory.max", TEXT_6G},
      {GROUP "/two/memory.current", "4831838208\n"}}, /* 4.5 GiB */
     4096,
     1536},
};

static void see(const struct system *s)
{
    start();
    put("/proc/meminfo", MEMINFO_16G);
    for (int i = 0; i < MOST_FILES && s->files[i].path; i++)
        put(s->files[i].path, s->files[i].text);
    const struct machine m = detect();
    if (m.total_bytes != s->total_mib * MIB || m.available_bytes != s->available_mib * MIB)
        fprintf(stderr, "row: %s: %llu MiB, %llu available\n", s->why,
                (unsigned long long)(m.total_bytes / MIB),
                (unsigned long long)(m.available_bytes / MIB));
    CHECK(m.total_bytes == s->total_mib * MIB);
    CHECK(m.available_bytes == s->available_mib * MIB);
    CHECK(m.device == MACHINE_CPU);
    finish();
}

static void takes_meminfo_when_nothing_limits(void)
{
    for (size_t i = 0; i < sizeof no_groups / sizeof no_groups[0]; i++)
        see(&no_groups[i]);
}

static void obeys_version_2_groups_and_those_above(void)
{
    for (size_t i = 0; i < sizeof version_2 / sizeof version_2[0]; i++)
        see(&version_2[i]);
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++)
        see(&nested[i]);
}

static void obeys_version_1_groups(void)
{
    for (size_t i = 0; i < sizeof version_1 / sizeof version_1[0]; i++)
        see(&version_1[i]);
}

static void tells_pressure(void)
{
    static const struct {
        const char *why, *psi;
        unsigned available_mib;
        enum machine_pressure want;
    } row[] = {
        {"no such file", NULL, 8192, MACHINE_NORMAL},
        {"calm", "some avg10=0.00 avg60=9\nfull avg10=0.00 avg60=9\n", 8192, MACHINE_NORMAL},
        {"as the kernel writes it",
         "some avg10=9.99 avg60=55.00 avg300=60.00 total=123456\n"
         "full avg10=9.99 avg60=50.00 avg300=40.00 total=23456\n",
         8192, MACHINE_NORMAL},
        {"some tasks wait", "some avg10=12.5 \nfull avg10=3.1 \n", 8192, MACHINE_WARNING},
        {"some tasks wait, from ten per cent", "some avg10=10.00 avg60=0\nfull avg10=0.00 \n", 8192,
         MACHINE_WARNING},
        {"all tasks wait", "some avg10=40.0 \nfull avg10=20.0 \n", 8192, MACHINE_CRITICAL},
        {"all tasks wait, from ten per cent", "some avg10=40.0 \nfull avg10=10.00 \n", 8192,
         MACHINE_CRITICAL},
        {"a kernel that tells of some alone", "some avg10=99.00 avg60=1\n", 8192, MACHINE_WARNING},
        {"damaged", "some avg10=\nfull\n", 8192, MACHINE_NORMAL},
        {"a little left", "", 1500, MACHINE_WARNING},
        {"nearly nothing left", "", 100, MACHINE_CRITICAL},
        {"nearly nothing left, and some wait", "some avg10=12.5 \nfull avg10=3.1 \n", 100,
         MACHINE_CRITICAL},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[128];
        start();
        snprintf(text, sizeof text, "MemTotal: 16777216 kB\nMemAvailable: %u kB\n",
                 row[i].available_mib * 1024);
        put("/proc/meminfo", text);
        if (row[i].psi)
            put("/proc/pressure/memory", row[i].psi);
        if (detect().pressure != row[i].want)
            fprintf(stderr, "row: %s\n", row[i].why);
        CHECK(detect().pressure == row[i].want);
        finish();
    }
}

/* The share is that of the group, not of the machine. */
static void tells_pressure_within_a_group(void)
{
    start();
    put("/proc/meminfo", MEMINFO_16G);
    put("/proc/self/cgroup", "0::/mine\n");
    put(GROUP "/mine/memory.max", TEXT_4G);
    put(GROUP "/mine/memory.current", TEXT_2G);
    CHECK(detect().pressure == MACHINE_NORMAL);
    put(GROUP "/mine/memory.current", "4026531840\n"); /* of 4 GiB 256 MiB are left */
    CHECK(detect().pressure == MACHINE_WARNING);
    put(GROUP "/mine/memory.current", TEXT_4G);
    CHECK(detect().pressure == MACHINE_CRITICAL);
    finish();
}

static void refuses_a_system_that_tells_nothing(void)
{
    struct machine m;
    struct error err = {0};
    static const char *const text[] = {
        NULL,
        "",
        "MemTotal: x kB\n",
        "MemTotal: 0 kB\nMemFree: 1 kB\n",
        "MemTotal: 16 kB\n",
        "MemFree: 16 kB\nMemAvailable: 16 kB\n",
        "MemTotal: 18446744073709551615 kB\nMemFree: 1 kB\n",
    };

    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        start();
        if (text[i])
            put("/proc/meminfo", text[i]);
        CHECK(!machine_linux_detect(&m, root, &err));
        CHECK(err.code == ERROR_IO);
        finish();
    }
}

int main(void)
{
    takes_meminfo_when_nothing_limits();
    obeys_version_2_groups_and_those_above();
    obeys_version_1_groups();
    tells_pressure();
    tells_pressure_within_a_group();
    refuses_a_system_that_tells_nothing();
    return TEST_END();
}
