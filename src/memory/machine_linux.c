/* Detection for Linux: proc(5), and the kernel's admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst
 * and accounting/psi.rst. */
#include "base/fs.h"
#include "memory/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 4096, FILE_LIMIT = 1 << 20 };

/* Share of the last ten seconds that tasks waited for memory, in per cent. */
#define WARNING_SOME 10.0
#define CRITICAL_FULL 10.0

/* What differs between the two versions of control groups. */
struct cgroup_kind {
    const char *mount;
    const char *limit, *usage;
    const char *throttle;       /* above it the kernel slows the group down; NULL: no such thing */
    const char *reclaimable[3]; /* keys of memory.stat */
};

static const struct cgroup_kind cgroup_v1 = {"/sys/fs/cgroup/memory",
                                             "memory.limit_in_bytes",
                                             "memory.usage_in_bytes",
                                             NULL,
                                             {"total_inactive_file", "total_active_file", NULL}};
static const struct cgroup_kind cgroup_v2 = {"/sys/fs/cgroup",
                                             "memory.max",
                                             "memory.current",
                                             "memory.high",
                                             {"inactive_file", "active_file", "slab_reclaimable"}};

/* The whole of a small file under root, or NULL: on most systems most of these files are missing.
 */
static char *read_file(const char *root, const char *folder, const char *name)
{
    char path[PATH_ROOM], *text = NULL;
    size_t len;
    struct error err;

    int n = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    if (n < 0 || (size_t)n >= sizeof path || !fs_read(&text, &len, path, FILE_LIMIT, &err))
        return NULL;
    return text;
}

/* Finds the number behind key at the start of a line. */
static bool find_number(const char *text, const char *key, uint64_t *out)
{
    size_t len = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) != 0 || (line[len] != ' ' && line[len] != ':'))
            continue;
        const char *p = line + len + 1;
        p += strspn(p, " \t");
        if (*p < '0' || *p > '9')
            return false;
        *out = (uint64_t)strtoumax(p, NULL, 10);
        return true;
    }
    return false;
}

static bool read_number(const char *root, const char *folder, const char *name, uint64_t *out)
{
    char *text = read_file(root, folder, name);
    bool ok = text && *text >= '0' && *text <= '9'; /* not "max" */
    if (ok)
        *out = (uint64_t)strtoumax(text, NULL, 10);
    free(text);
    return ok;
}

/* What a group uses that the kernel could not take back; 0 where it does not tell. */
static uint64_t used_bytes(const char *root, const struct cgroup_kind *kind, const char *folder)
{
    uint64_t usage = 0, reclaimable = 0;

    if (!read_number(root, folder, kind->usage, &usage))
        return 0;
    char *stat = read_file(root, folder, "memory.stat");
    for (int i = 0; stat && i < 3 && kind->reclaimable[i]; i++) {
        uint64_t n = 0;
        if (find_number(stat, kind->reclaimable[i], &n))
            reclaimable += n;
    }
    free(stat);
    return usage > reclaimable ? usage - reclaimable : 0;
}

/* Lowers *m to what one control group allows.  A group that may have more than those below it can
 * have less left, for what its other groups use counts. */
static void apply_group(struct machine *m, const char *root, const struct cgroup_kind *kind,
                        const char *folder)
{
    uint64_t limit = UINT64_MAX,
             throttle = UINT64_MAX; /* version 1 writes "none" as a huge number */

    if (read_number(root, folder, kind->limit, &limit) && limit < m->total_bytes)
        m->total_bytes = limit;
    if (kind->throttle && read_number(root, folder, kind->throttle, &throttle) && throttle < limit)
        limit = throttle;
    if (limit == UINT64_MAX)
        return;
    const uint64_t used = used_bytes(root, kind, folder), left = limit > used ? limit - used : 0;
    if (left < m->available_bytes)
        m->available_bytes = left;
    if (m->available_bytes > m->total_bytes)
        m->available_bytes = m->total_bytes;
}

/* Applies the group at path and all above it, up to the mount itself.  In a container the path is
 * often the host's and does not exist here; the mount then is our group. */
static void apply_groups(struct machine *m, const char *root, const struct cgroup_kind *kind,
                         const char *path, size_t path_len)
{
    char folder[PATH_ROOM];

    for (;;) {
        while (path_len > 0 && path[path_len - 1] == '/')
            path_len--;
        int n = snprintf(folder, sizeof folder, "%s%.*s", kind->mount, (int)path_len, path);
        if (n >= 0 && (size_t)n < sizeof folder)
            apply_group(m, root, kind, folder);
        if (path_len == 0)
            return;
        while (path_len > 0 && path[path_len - 1] != '/')
            path_len--;
    }
}

/* A line of /proc/self/cgroup is "number:controllers:path"; version 2 has number 0 and no
 * controllers. */
static void apply_cgroups(struct machine *m, const char *root)
{
    char *text = read_file(root, "/proc/self", "cgroup");

    for (char *line = text; line && *line;) {
        size_t len = strcspn(line, "\n");
        char *next = line + len + (line[len] == '\n');
        line[len] = 0;
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path) {
            *path++ = 0;
            size_t path_len = strlen(path) < PATH_ROOM ? strlen(path) : 0;
            if (strcmp(line, "0:") == 0)
                apply_groups(m, root, &cgroup_v2, path, path_len);
            else if (strcmp(controllers, ":memory") == 0)
                apply_groups(m, root, &cgroup_v1, path, path_len);
        }
        line = next;
    }
    free(text);
}

/* avg10 of the line that starts with kind, in per cent; 0 where the kernel does not tell. */
static double stall_share(const char *psi, const char *kind)
{
    const char *line = psi ? strstr(psi, kind) : NULL;
    const char *avg = line ? strstr(line, "avg10=") : NULL;
    return avg ? strtod(avg + strlen("avg10="), NULL) : 0;
}

static enum machine_pressure judge(const struct machine *m, const char *root)
{
    char *psi = read_file(root, "/proc/pressure", "memory");
    double some = stall_share(psi, "some "), full = stall_share(psi, "full ");
    enum machine_pressure by_share = machine_pressure_of_share(m);
    free(psi);

    if (full >= CRITICAL_FULL)
        return MACHINE_CRITICAL;
    return some >= WARNING_SOME && by_share < MACHINE_WARNING ? MACHINE_WARNING : by_share;
}

bool machine_linux_detect(struct machine *out, const char *root, struct error *err)
{
    struct machine m = {.device = MACHINE_CPU};
    uint64_t total_kib, available_kib, free_kib;

    char *text = read_file(root, "/proc", "meminfo");
    bool ok = text && find_number(text, "MemTotal", &total_kib) && total_kib > 0 &&
              total_kib <= UINT64_MAX / 1024;
    /* Kernels before 3.14 do not tell what is available; what is free is a safe guess. */
    ok = ok && (find_number(text, "MemAvailable", &available_kib) ||
                (find_number(text, "MemFree", &free_kib) && ((available_kib = free_kib), true)));
    free(text);
    if (!ok)
        return error_set(err, ERROR_IO, "%s/proc/meminfo does not tell this machine's memory",
                         root);

    m.total_bytes = total_kib * 1024;
    m.available_bytes = (available_kib < total_kib ? available_kib : total_kib) * 1024;
    apply_cgroups(&m, root);
    m.pressure = judge(&m, root);
    *out = m;
    return true;
}
