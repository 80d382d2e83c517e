/* Control groups: a hard limit of memory around one process, with no way out into swap. */
#include "base/error.h"
#include "memory_sweep.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char v1[] = "/sys/fs/cgroup/memory", v2[] = "/sys/fs/cgroup";

static bool is_v1(void)
{
    return access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0;
}

static bool write_text(const char *folder, const char *name, const char *text)
{
    char path[600];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    if (!f)
        return false;
    bool ok = fputs(text, f) >= 0;
    return fclose(f) == 0 && ok;
}

bool memory_sweep_cgroup_make(char path[400], size_t limit_bytes, struct error *err)
{
    char limit[40];

    snprintf(path, 400, "%s/memory-sweep-%ld", is_v1() ? v1 : v2, (long)getpid());
    snprintf(limit, sizeof limit, "%zu\n", limit_bytes);
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return error_set_errno(err, errno, path);
    if (!write_text(path, is_v1() ? "memory.limit_in_bytes" : "memory.max", limit)) {
        memory_sweep_cgroup_remove(path);
        return error_set(err, ERROR_IO, "%s: the limit could not be set; this needs root", path);
    }
    /* Where the kernel counts swap, none may be used. */
    if (is_v1()) {
        write_text(path, "memory.swappiness", "0\n");
        write_text(path, "memory.memsw.limit_in_bytes", limit);
    } else {
        write_text(path, "memory.swap.max", "0\n");
    }
    return true;
}

bool memory_sweep_cgroup_enter(const char *path)
{
    return write_text(path, "cgroup.procs", "0\n");
}

void memory_sweep_cgroup_remove(const char *path)
{
    for (int i = 0; i < 50 && rmdir(path) != 0 && errno == EBUSY; i++)
        usleep(10000); /* the kernel takes a moment to see that the last process has gone */
}
