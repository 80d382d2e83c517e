/* For tests of streaming: what the system says this process holds, and a file of weights. */
#ifndef ENGINE_WEIGHTS_TESTING_H
#define ENGINE_WEIGHTS_TESTING_H

#include "base/file_map.h"
#include "base/test.h"
#include "engine/weights.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A number of /proc/self/status, kB in bytes; -1 where there is none. */
static inline int64_t weights_testing_status(const char *name)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    int64_t value = -1;

    while (f && value < 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtoll(line + strlen(name) + 1, NULL, 10) * (strstr(line, "kB") ? 1024 : 1);
    }
    if (f)
        fclose(f);
    return value;
}

/* Waits until the process has n threads; false where it keeps others.  A thread that was joined is
 * counted for a moment longer, under an emulator for longer still. */
static inline bool weights_testing_threads_become(int64_t n)
{
    for (int tries = 0; tries < 20000; tries++) {
        if (weights_testing_status("Threads") == n)
            return true;
        usleep(1000);
    }
    return false;
}

/* Sets the high-water mark back to what is resident now; false where the system cannot. */
static inline bool weights_testing_reset_peak(void)
{
    const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool ok = write(fd, "5", 1) == 1;
    close(fd);
    return ok;
}

static inline bool weights_testing_sees_file(int fd, size_t n)
{
    unsigned char *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return false;
    const bool can_reset = weights_testing_reset_peak();
    const int64_t before = weights_testing_status("VmRSS");
    bool brought = false;
#ifdef MADV_POPULATE_READ
    brought = madvise(map, n, MADV_POPULATE_READ) == 0;
#endif
    for (size_t i = 0; !brought && i < n; i += 4096)
        (void)*(volatile unsigned char *)(map + i);
    const int64_t after = weights_testing_status("VmRSS");
    (void)madvise(map, n, MADV_DONTNEED);
    const int64_t dropped = weights_testing_status("VmRSS");
    const int64_t slack = (int64_t)n / 4;
    munmap(map, n);
    return can_reset && before > 0 && after - before > (int64_t)n - slack &&
           dropped - before < slack;
}

/* Whether resident sizes mean something: not under sanitizers, whose shadows count too, nor under
 * an emulator that ignores advice. */
static inline bool weights_testing_sees_pages(void)
{
    if (TEST_SANITIZED)
        return false;
    const size_t n = 16 << 20;
    FILE *f = tmpfile();
    CHECK(f && ftruncate(fileno(f), (off_t)n) == 0);
    const bool sees = f && weights_testing_sees_file(fileno(f), n);
    if (f)
        fclose(f);
    return sees;
}

/* Writes all weights of g one after another, aligned to nothing, as small random numbers in
 * float16, in a file that has no name any more, and maps it. */
static inline void weights_testing_file(struct file_map *map, struct weight_view *views,
                                        const struct graph *g)
{
    enum { BEGIN = 1235, CHUNK = 1 << 21 };
    static uint16_t numbers[CHUNK];
    const char *dir = getenv("TMPDIR");
    char path[4096];
    uint64_t state = 88172645463325252u; /* xorshift64, Marsaglia 2003 */
    struct error err;

    snprintf(path, sizeof path, "%s/weights-XXXXXX", dir && *dir ? dir : "/tmp");
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    FILE *f = fdopen(fd, "wb");
    CHECK(f && fseek(f, BEGIN, SEEK_SET) == 0);
    size_t at = BEGIN;
    for (int i = 1; f && i <= graph_n_weights(g); i++) {
        const struct graph_weight *w = graph_weight_view(g, i);
        int64_t n = 1;
        for (int d = 0; d < w->n_dims; d++)
            n *= w->dims[d];
        views[i - 1] = (struct weight_view){(const void *)at, DTYPE_F16, n};
        for (int64_t left = n; left > 0; left -= CHUNK) {
            for (int k = 0; k < CHUNK; k++) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                /* A sign, and 2^-8 to 2^-5 with ten bits of fraction. */
                numbers[k] = (uint16_t)((state & 0x83ff) | ((7 + (state >> 20) % 3) << 10));
            }
            const size_t some = (size_t)(left < CHUNK ? left : CHUNK);
            CHECK(fwrite(numbers, sizeof *numbers, some, f) == some);
        }
        at += (size_t)n * sizeof *numbers;
    }
    CHECK(f && fclose(f) == 0);
    CHECK(file_map_open(map, path, &err));
    for (int i = 0; i < graph_n_weights(g); i++)
        views[i].bytes = map->bytes + (uintptr_t)views[i].bytes;
    (void)unlink(path);
}

#endif
