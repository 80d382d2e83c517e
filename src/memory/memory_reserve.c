#define _GNU_SOURCE /* F_OFD_SETLK */
#include "memory/memory_reserve.h"

#include "memory/process_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As in the file, behind a head of one slot's size whose lock is that of the list. */
struct slot {
    uint64_t peak_bytes;
    uint64_t resident_bytes; /* when it was reserved */
    int64_t pid;
    uint64_t not_used;
};

struct memory_reserve {
    int fd;
    int own; /* slot; -1: all were taken */
};

static off_t slot_at(int i)
{
    return (off_t)sizeof(struct slot) * (i + 1);
}

/* Locks of open files, not of processes: two owners in one process see each other. */
static bool lock_bytes(int fd, short type, off_t at, bool wait)
{
#ifdef F_OFD_SETLK
    struct flock l = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = sizeof(struct slot)};
    int done;

    do
        done = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
    while (done != 0 && errno == EINTR);
    return done == 0;
#else
    (void)fd, (void)type, (void)at, (void)wait;
    return false;
#endif
}

static bool is_owned(int fd, off_t at)
{
#ifdef F_OFD_GETLK
    struct flock l = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = sizeof(struct slot)};
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
#else
    (void)fd, (void)at;
    return false;
#endif
}

static bool default_path(char *out, size_t room)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    const int n = dir && dir[0] == '/' ? snprintf(out, room, "%s/diffusionapi-memory", dir)
                                       : snprintf(out, room, "/tmp/diffusionapi-memory-%lu",
                                                  (unsigned long)getuid());
    return n > 0 && (size_t)n < room;
}

/* Others may write to /tmp: what they put there is not opened. */
static bool open_list(struct memory_reserve *r, const char *path, struct error *err)
{
    struct stat st;

    r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        return error_set_errno(err, errno, path);
    if (fstat(r->fd, &st) != 0)
        return error_set_errno(err, errno, path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return error_set(err, ERROR_IO, "%s: not a file of this user", path);
    return true;
}

bool memory_reserve_open(struct memory_reserve **out, const char *path, struct error *err)
{
    char shared[4096];
    struct memory_reserve *r = calloc(1, sizeof *r);

    if (!r)
        return error_set(err, ERROR_MEMORY, "no memory for a reservation");
    r->fd = r->own = -1;
    bool ok = path || default_path(shared, sizeof shared) ||
              error_set(err, ERROR_INVALID, "XDG_RUNTIME_DIR is too long");
    if (!ok || !open_list(r, path ? path : shared, err)) {
        memory_reserve_close(r);
        return false;
    }
    for (int i = 0; i < MEMORY_RESERVE_SLOTS && r->own < 0; i++)
        if (lock_bytes(r->fd, F_WRLCK, slot_at(i), false))
            r->own = i;
    memory_reserve_set(r, 0);
    *out = r;
    return true;
}

void memory_reserve_close(struct memory_reserve *r)
{
    if (!r)
        return;
    if (r->fd >= 0) {
        memory_reserve_set(r, 0);
        close(r->fd);
    }
    free(r);
}

/* What a process holds now; where the system does not tell, what it said itself. */
static uint64_t resident_of(const struct slot *s)
{
    char path[64], text[128] = "";
    uintmax_t pages = 0;

    snprintf(path, sizeof path, "/proc/%" PRId64 "/statm", s->pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return s->resident_bytes;
    if (fgets(text, sizeof text, f)) {
        char *second = strchr(text, ' ');
        pages = second ? strtoumax(second, NULL, 10) : 0;
    }
    fclose(f);
    const uint64_t bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return bytes > s->resident_bytes ? bytes : s->resident_bytes;
}

uint64_t memory_reserve_begin(struct memory_reserve *r)
{
    uint64_t sum = 0;

    if (!r)
        return 0;
    lock_bytes(r->fd, F_WRLCK, 0, true);
    for (int i = 0; i < MEMORY_RESERVE_SLOTS; i++) {
        struct slot s;
        if (i == r->own || !is_owned(r->fd, slot_at(i)) ||
            pread(r->fd, &s, sizeof s, slot_at(i)) != (ssize_t)sizeof s)
            continue;
        const uint64_t has = resident_of(&s);
        const uint64_t more = s.peak_bytes > has ? s.peak_bytes - has : 0;
        sum = sum + more < sum ? UINT64_MAX : sum + more;
    }
    return sum;
}

void memory_reserve_end(struct memory_reserve *r, uint64_t peak_bytes)
{
    struct process_memory now = {0};
    struct error ignored;

    if (!r)
        return;
    if (!process_memory_read(&now, &ignored))
        now = (struct process_memory){0};
    const struct slot s = {
        .peak_bytes = peak_bytes, .resident_bytes = now.resident_bytes, .pid = (int64_t)getpid()};
    /* A full disk leaves the others without a warning, and this process as it was. */
    if (r->own >= 0 && pwrite(r->fd, &s, sizeof s, slot_at(r->own)) != (ssize_t)sizeof s)
        r->own = -1;
    lock_bytes(r->fd, F_UNLCK, 0, false);
}

void memory_reserve_set(struct memory_reserve *r, uint64_t peak_bytes)
{
    (void)memory_reserve_begin(r);
    memory_reserve_end(r, peak_bytes);
}
