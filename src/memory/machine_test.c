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

static void takes_meminfo_when_nothing_limits(void)
{
    start();
    put("/proc/meminfo", MEMINFO_16G);
    struct machine m = detect();
    CHECK(m.device == MACHINE_CPU);
    CHECK(m.total_bytes == 16 * GIB);
    CHECK(m.available_bytes == 8 * GIB);
    CHECK(m.pressure == MACHINE_NORMAL);
    finish();
}

static void obeys_a_version_2_group_and_the_ones_above(void)
{
    start();
    put("/proc/meminfo", MEMINFO_16G);
    put("/proc/self/cgroup", "0::/slice/mine\n");
    put("/sys/fs/cgroup/slice/mine/memory.max", "max\n");
    put("/sys/fs/cgroup/slice/memory.max", "4294967296\n");
    put("/sys/fs/cgroup/slice/memory.current",
        "3221225472\n"); /* 3 GiB, of which 2 are file pages */
    put("/sys/fs/cgroup/slice/memory.stat",
        "anon 1073741824\nfile 2147483648\ninactive_file 1073741824\nactive_file 1073741824\n");
    struct machine m = detect();
    CHECK(m.total_bytes == 4 * GIB);
    CHECK(m.available_bytes == 3 * GIB);
    finish();
}

static void obeys_a_version_1_group(void)
{
    start();
    put("/proc/meminfo", MEMINFO_16G);
    put("/proc/self/cgroup", "5:cpu:/\n4:memory:/host/path/unknown/here\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1610612736\n");
    put("/sys/fs/cgroup/memory/memory.stat",
        "inactive_file 7\ntotal_inactive_file 536870912\ntotal_active_file 0\n");
    struct machine m = detect();
    CHECK(m.total_bytes == 2 * GIB);
    CHECK(m.available_bytes == 1 * GIB);
    finish();
}

static void ignores_a_limit_above_the_machine(void)
{
    start();
    put("/proc/meminfo", MEMINFO_16G);
    put("/proc/self/cgroup", "4:memory:/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "16106127360\n");
    struct machine m = detect();
    CHECK(m.total_bytes == 16 * GIB);
    CHECK(m.available_bytes == 8 * GIB);
    finish();
}

static void tells_pressure(void)
{
    static const struct {
        const char *why, *psi;
        unsigned available_mib;
        enum machine_pressure want;
    } row[] = {
        {"calm", "some avg10=0.00 avg60=9\nfull avg10=0.00 avg60=9\n", 8192, MACHINE_NORMAL},
        {"some tasks wait", "some avg10=12.5 \nfull avg10=3.1 \n", 8192, MACHINE_WARNING},
        {"all tasks wait", "some avg10=40.0 \nfull avg10=20.0 \n", 8192, MACHINE_CRITICAL},
        {"a little left", "", 1500, MACHINE_WARNING},
        {"nearly nothing left", "", 100, MACHINE_CRITICAL},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[128];
        start();
        snprintf(text, sizeof text, "MemTotal: 16777216 kB\nMemAvailable: %u kB\n",
                 row[i].available_mib * 1024);
        put("/proc/meminfo", text);
        put("/proc/pressure/memory", row[i].psi);
        if (detect().pressure != row[i].want)
            fprintf(stderr, "row: %s\n", row[i].why);
        CHECK(detect().pressure == row[i].want);
        finish();
    }
}

static void refuses_a_system_that_tells_nothing(void)
{
    struct machine m;
    struct error err = {0};
    static const char *const text[] = {"", "MemTotal: x kB\n", "MemTotal: 0 kB\nMemFree: 1 kB\n"};

    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        start();
        put("/proc/meminfo", text[i]);
        CHECK(!machine_linux_detect(&m, root, &err));
        CHECK(err.code == ERROR_IO);
        finish();
    }
}

static void is_described_in_words(void)
{
    static const struct {
        const char *why;
        struct machine_words words;
        struct machine want; /* no bytes: refused */
    } row[] = {
        {"nothing said", {0}, {MACHINE_CPU, 16 * GIB, 8 * GIB, MACHINE_WARNING}},
        {"everything said",
         {true, MACHINE_MPS, true, true, 64 * GIB, 40 * GIB},
         {MACHINE_MPS, 64 * GIB, 40 * GIB, MACHINE_NORMAL}},
        {"device alone",
         {.has_device = true, .device = MACHINE_CUDA},
         {MACHINE_CUDA, 16 * GIB, 8 * GIB, MACHINE_WARNING}},
        {"less in total than is available",
         {.has_total = true, .total_bytes = 4 * GIB},
         {MACHINE_CPU, 4 * GIB, 4 * GIB, MACHINE_NORMAL}},
        {"little available",
         {.has_available = true, .available_bytes = GIB},
         {MACHINE_CPU, 16 * GIB, GIB, MACHINE_WARNING}},
        {"nothing available",
         {.has_available = true},
         {MACHINE_CPU, 16 * GIB, 0, MACHINE_CRITICAL}},
        {"more available than there is", {.has_available = true, .available_bytes = 17 * GIB}, {0}},
    };
    const struct machine found = {MACHINE_CPU, 16 * GIB, 8 * GIB, MACHINE_WARNING};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct machine m = {0};
        struct error err = {0};
        bool ok = machine_describe(&m, &row[i].words, &found, &err);
        bool same = m.device == row[i].want.device && m.total_bytes == row[i].want.total_bytes &&
                    m.available_bytes == row[i].want.available_bytes &&
                    m.pressure == row[i].want.pressure;
        if (!same)
            fprintf(stderr, "row: %s\n", row[i].why);
        CHECK(same);
        CHECK(ok == (row[i].want.total_bytes > 0));
        CHECK(ok || err.code == ERROR_INVALID);
    }

    struct machine m;
    struct error err = {0};
    CHECK(machine_describe(&m, &row[1].words, NULL, &err));
    CHECK(machine_is_found(&row[0].words) && !machine_is_found(&row[1].words));
}

static void finds_devices_by_name(void)
{
    enum machine_device d = MACHINE_CPU;
    CHECK(machine_find_device(&d, "mps") && d == MACHINE_MPS);
    CHECK(machine_find_device(&d, "cuda") && d == MACHINE_CUDA);
    CHECK(!machine_find_device(&d, "tpu") && d == MACHINE_CUDA);
}

static void sees_this_machine(void)
{
    struct machine m;
    struct error err;
    struct machine_source here = machine_this_system();

    CHECK(machine_detect(&m, &here, &err));
    CHECK(m.total_bytes > 64 * MIB && m.available_bytes > 0);
    CHECK(m.available_bytes <= m.total_bytes);
    fprintf(stderr, "%s: %llu MiB, %llu MiB available, pressure %s\n",
            machine_device_name(m.device), (unsigned long long)(m.total_bytes / MIB),
            (unsigned long long)(m.available_bytes / MIB), machine_pressure_name(m.pressure));
}

int main(void)
{
    takes_meminfo_when_nothing_limits();
    obeys_a_version_2_group_and_the_ones_above();
    obeys_a_version_1_group();
    ignores_a_limit_above_the_machine();
    tells_pressure();
    refuses_a_system_that_tells_nothing();
    is_described_in_words();
    finds_devices_by_name();
    sees_this_machine();
    return TEST_END();
}
