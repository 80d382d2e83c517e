#define _GNU_SOURCE /* sched_getaffinity */

#include "base/thread.h"

#include "base/thread_internal.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

enum { MAX_PROCESSORS = 1 << 13, MAX_PATH = 1024 };

bool thread_start(pthread_t *out, void *(*fn)(void *arg), void *arg, size_t stack_bytes,
                  struct error *err)
{
    pthread_attr_t attr;
    int e = pthread_attr_init(&attr);
    if (e != 0)
        return error_set_errno(err, e, "cannot start a thread");
    size_t have = 0;
    if (stack_bytes > 0 && pthread_attr_getstacksize(&attr, &have) == 0 && have < stack_bytes) {
        const size_t page = 65536; /* a multiple of every page size in use */
        e = stack_bytes > SIZE_MAX - page
                ? EINVAL
                : pthread_attr_setstacksize(&attr, (stack_bytes + page - 1) / page * page);
    }
    if (e == 0)
        e = pthread_create(out, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    return e == 0 || error_set_errno(err, e, "cannot start a thread");
}

/* Reads a small file as text; false when there is none. */
static bool read_text(char *out, size_t cap, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    const size_t n = fread(out, 1, cap - 1, f);
    const bool ok = !ferror(f);
    fclose(f);
    out[n] = '\0';
    return ok;
}

/* The lowest allowed processor of a list such as "0-1,32-33"; -1 when there is none. */
static int lowest_allowed(const char *list, const bool *allowed, int n)
{
    while (*list >= '0' && *list <= '9') {
        char *end;
        const long first = strtol(list, &end, 10);
        const long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        for (long i = first; i <= last && i < n; i++) {
            if (allowed[i])
                return (int)i;
        }
        list = *end == ',' ? end + 1 : end;
    }
    return -1;
}

int thread_count_cores(const char *root, const bool *allowed, int n)
{
    int cores = 0;
    for (int i = 0; i < n; i++) {
        char path[MAX_PATH], list[4096];
        if (!allowed[i])
            continue;
        snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 root, i);
        const int first = read_text(list, sizeof list, path) ? lowest_allowed(list, allowed, n) : i;
        cores += first < 0 || first == i;
    }
    return cores < 1 ? 1 : cores;
}

static int lower(int most, long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return most; /* -1 and unreadable numbers set no limit */
    const long long whole = quota / period < 1 ? 1 : quota / period;
    return whole < most ? (int)whole : most;
}

/* Version 2: "max 100000" or "150000 100000", microseconds of processor time per period. */
static int quota_v2(const char *root, const char *group, int most)
{
    char path[MAX_PATH], text[128];
    snprintf(path, sizeof path, "%s/sys/fs/cgroup%s/cpu.max", root, group);
    if (!read_text(text, sizeof text, path))
        return most;
    char *end;
    const long long quota = strtoll(text, &end, 10);
    return end == text ? most : lower(most, quota, strtoll(end, NULL, 10));
}

/* Version 1 says the same in two files. */
static int quota_v1(const char *root, const char *group, int most)
{
    char path[MAX_PATH], quota[64], period[64];
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", root, group);
    if (!read_text(quota, sizeof quota, path))
        return most;
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", root, group);
    if (!read_text(period, sizeof period, path))
        return most;
    return lower(most, strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

/* A limit of any group above binds too.  In a container the named path may not exist, but the root
 * of the mount, which is looked at last, is then the container's own group. */
static int quota_upwards(const char *root, char *group, int most,
                         int (*quota)(const char *, const char *, int))
{
    for (;;) {
        most = quota(root, group, most);
        char *slash = strrchr(group, '/');
        if (!slash)
            return most;
        *slash = '\0';
    }
}

/* True when the comma-separated list names the word. */
static bool lists_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0'))
            return true;
    }
    return false;
}

int thread_quota(const char *root, int most)
{
    char path[MAX_PATH], text[8192];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!read_text(text, sizeof text, path))
        return most;

    /* Lines are "number:controllers:/group"; version 2 has no controllers. */
    char *next;
    for (char *line = text; *line; line = next) {
        char *end = strchr(line, '\n');
        next = end ? end + 1 : line + strlen(line);
        if (end)
            *end = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        if (strcmp(group, "/") == 0)
            *group = '\0';
        if (*controllers == '\0')
            most = quota_upwards(root, group, most, quota_v2);
        else if (lists_word(controllers, "cpu"))
            most = quota_upwards(root, group, most, quota_v1);
    }
    return most;
}

#ifdef __linux__
/* Fills allowed[0..n-1] from the affinity mask; false when the system does not tell. */
static bool read_affinity(bool *allowed, int n)
{
    cpu_set_t *set = CPU_ALLOC((size_t)n);
    const size_t bytes = CPU_ALLOC_SIZE((size_t)n);
    if (!set)
        return false;
    CPU_ZERO_S(bytes, set);
    const bool ok = sched_getaffinity(0, bytes, set) == 0;
    for (int i = 0; ok && i < n; i++)
        allowed[i] = CPU_ISSET_S((size_t)i, bytes, set);
    CPU_FREE(set);
    return ok;
}
#endif

int thread_physical_cores(void)
{
#ifdef __APPLE__
    int cores = 0;
    size_t bytes = sizeof cores;
    if (sysctlbyname("hw.physicalcpu", &cores, &bytes, NULL, 0) == 0 && cores > 0)
        return cores;
#endif
#ifdef __linux__
    bool allowed[MAX_PROCESSORS] = {false};
    if (read_affinity(allowed, MAX_PROCESSORS))
        return thread_quota("", thread_count_cores("", allowed, MAX_PROCESSORS));
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > MAX_PROCESSORS ? MAX_PROCESSORS : (int)online;
}
