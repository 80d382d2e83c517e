#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, TEMP_TRIES = 100 };

/* The folder that path lies in, as something open() takes. */
static bool folder_of(char *out, size_t room, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    const char *from = path;

    if (!slash) {
        from = ".";
        len = 1;
    } else if (len == 0) {
        from = "/";
        len = 1;
    }
    if (len >= room)
        return error_set(err, ERROR_INVALID, "the path is longer than %zu bytes", room - 1);
    memcpy(out, from, len);
    out[len] = 0;
    return true;
}

/* Creates a file that nobody else has in folder.  The name tells nothing but its maker, because
 * name plus suffix could be too long for the file system. */
static int open_temp(char *out, size_t room, const char *folder, struct error *err)
{
    static atomic_uint counter; /* keeps the threads of one process apart */

    for (int i = 0; i < TEMP_TRIES; i++) {
        char name[64];
        snprintf(name, sizeof name, ".tmp-%ld-%u", (long)getpid(), atomic_fetch_add(&counter, 1));
        if (!fs_join(out, room, folder, name, err))
            return -1;
        int fd = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            break;
    }
    error_set_errno(err, errno, "cannot create a file there");
    return -1;
}

static bool write_all(int fd, const void *bytes, size_t len, struct error *err)
{
    const char *p = bytes;

    while (len > 0) {
        ssize_t n = write(fd, p, len < SSIZE_MAX ? len : SSIZE_MAX);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, errno, "cannot write");
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool sync_folder(const char *folder, struct error *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open its folder");
    /* Some file systems cannot sync a folder and say EINVAL; there is nothing more to do there. */
    bool ok = fsync(fd) == 0 || errno == EINVAL;
    if (!ok)
        error_set_errno(err, errno, "cannot sync its folder");
    close(fd);
    return ok;
}

bool fs_write(const char *path, const void *bytes, size_t len, struct error *err)
{
    char folder[PATH_ROOM], temp[PATH_ROOM];
    struct stat st;
    int fd = -1;
    bool made = false, ok = false;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        error_set(err, ERROR_INVALID, "there is something that is not a file");
        goto done;
    }
    if (!folder_of(folder, sizeof folder, path, err))
        goto done;
    fd = open_temp(temp, sizeof temp, folder, err);
    if (fd < 0)
        goto done;
    made = true;
    if (!write_all(fd, bytes, len, err))
        goto done;
    if (fsync(fd) != 0) {
        error_set_errno(err, errno, "cannot sync");
        goto done;
    }
    int closed = close(fd); /* network file systems tell of a full disk only here */
    fd = -1;
    if (closed != 0 || rename(temp, path) != 0) {
        error_set_errno(err, errno, "cannot finish writing");
        goto done;
    }
    made = false;
    ok = sync_folder(folder, err);

done:
    if (fd >= 0)
        close(fd);
    if (made)
        unlink(temp);
    return ok || error_prefix(err, "%s", path);
}

/* Reads until the end or until more than max_bytes came: the size that stat tells may be out of
 * date, and is 0 under /proc. */
static bool read_all(char **out, size_t *len, int fd, size_t start_bytes, size_t max_bytes,
                     struct error *err)
{
    size_t room = start_bytes < max_bytes ? start_bytes : max_bytes;
    size_t n = 0;

    for (;;) {
        if (!*out || n > room) {
            room = *out ? (room > max_bytes / 2 ? max_bytes : room * 2 + 4096) : room;
            room = room < max_bytes ? room : max_bytes;
            char *bigger = realloc(*out, room + 2); /* one byte to notice more, one for the 0 */
            if (!bigger)
                return error_set(err, ERROR_MEMORY, "no memory for %zu bytes", room);
            *out = bigger;
        }
        ssize_t got = read(fd, *out + n, room + 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, errno, "cannot read");
        if (got == 0)
            break;
        n += (size_t)got;
        if (n > max_bytes)
            return error_set(err, ERROR_LIMIT, "is larger than %zu bytes", max_bytes);
    }
    (*out)[n] = 0;
    *len = n;
    return true;
}

bool fs_read(char **out, size_t *len, const char *path, size_t max_bytes, struct error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    struct stat st;
    bool ok = false;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        error_set_errno(err, errno, "cannot open");
        goto done;
    }
    if (S_ISDIR(st.st_mode)) {
        error_set(err, ERROR_INVALID, "is a folder, not a file");
        goto done;
    }
    if (max_bytes > SSIZE_MAX - 2)
        max_bytes = SSIZE_MAX - 2;
    if (S_ISREG(st.st_mode) && st.st_size > 0 && (uintmax_t)st.st_size > max_bytes) {
        error_set(err, ERROR_LIMIT, "is larger than %zu bytes", max_bytes);
        goto done;
    }
    if (!read_all(&bytes, &n, fd, st.st_size > 0 ? (size_t)st.st_size : 4096, max_bytes, err))
        goto done;
    *out = bytes;
    *len = n;
    bytes = NULL;
    ok = true;

done:
    free(bytes);
    if (fd >= 0)
        close(fd);
    return ok || error_prefix(err, "%s", path);
}

bool fs_join(char *out, size_t room, const char *folder, const char *name, struct error *err)
{
    size_t len = strlen(folder);
    bool alone = len == 0 || name[0] == '/';
    const char *between = alone || folder[len - 1] == '/' ? "" : "/";

    int n = snprintf(out, room, "%s%s%s", alone ? "" : folder, between, name);
    if (n < 0 || (size_t)n >= room)
        return error_set(err, ERROR_INVALID, "a path longer than %zu bytes: %.200s...", room - 1,
                         alone ? name : folder);
    return true;
}

static bool make_folder(const char *path, struct error *err)
{
    struct stat st;

    if (mkdir(path, 0777) == 0)
        return true;
    int why = errno;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return true;
        return error_set(err, ERROR_INVALID, "%.300s: is a file, not a folder", path);
    }
    error_set_errno(err, why, "cannot make the folder");
    return error_prefix(err, "%.300s", path);
}

bool fs_make_folders(const char *path, struct error *err)
{
    char part[PATH_ROOM];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof part)
        return error_set(err, ERROR_INVALID, "a folder's path has 1 to %d bytes, not %zu",
                         PATH_ROOM - 1, len);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = 0;
        if (!make_folder(part, err))
            return false;
        part[i] = '/';
    }
    return make_folder(part, err);
}
