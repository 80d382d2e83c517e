#include "base/test.h"
#include "memory/process_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MIB = 1 << 20 };

static void sees_memory_come_and_go(void)
{
    struct process_memory before, with, after;
    struct error err;
    size_t len = 64 * (size_t)MIB;

    CHECK(process_memory_read(&before, &err));
    char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    if (p == MAP_FAILED)
        return;
    memset(p, 1, len);
    CHECK(process_memory_read(&with, &err));
    munmap(p, len);
    CHECK(process_memory_read(&after, &err));

    CHECK(with.resident_bytes >= before.resident_bytes + 60 * (uint64_t)MIB);
    CHECK(with.anonymous_bytes >= before.anonymous_bytes + 60 * (uint64_t)MIB);
    CHECK(after.resident_bytes + 60 * (uint64_t)MIB <= with.resident_bytes);
    CHECK(after.peak_bytes >= with.resident_bytes - 2 * (uint64_t)MIB);
}

static void forgets_an_earlier_peak(void)
{
    struct process_memory m;
    struct error err;

    if (!process_memory_reset_peak())
        return; /* this system cannot; the header says so */
    CHECK(process_memory_read(&m, &err));
    CHECK(m.peak_bytes < m.resident_bytes + 32 * (uint64_t)MIB);
}

int main(void)
{
    sees_memory_come_and_go();
    forgets_an_earlier_peak();
    return TEST_END();
}
