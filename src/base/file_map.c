#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool map_descriptor(struct file_map *out, int fd, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set_errno(err, errno, "cannot look at it");
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERROR_INVALID, "is not a regular file");
    if (st.st_size <= 0)
        return error_set(err, ERROR_CORRUPT, "is empty");
    if ((uintmax_t)st.st_size > SIZE_MAX)
        return error_set(err, ERROR_LIMIT, "is too large for this machine's addresses");

    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return error_set_errno(err, errno, "cannot map");
    out->bytes = bytes;
    out->n_bytes = (size_t)st.st_size;
    return true;
}

bool file_map_open(struct file_map *out, const char *path, struct error *err)
{
    *out = (struct file_map){0};
    /* O_NONBLOCK: opening a pipe must not wait for its other end before it is refused. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open") || error_prefix(err, "%s", path);
    bool ok = map_descriptor(out, fd, err);
    close(fd); /* the mapping outlives the descriptor */
    return ok || error_prefix(err, "%s", path);
}

void file_map_forget(const void *bytes, size_t n_bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)bytes / page * page;

    if (n_bytes)
        (void)madvise((void *)first, (uintptr_t)bytes + n_bytes - first, MADV_DONTNEED);
}

void file_map_close(struct file_map *map)
{
    if (map->bytes)
        munmap((void *)(uintptr_t)map->bytes, map->n_bytes);
    *map = (struct file_map){0};
}
