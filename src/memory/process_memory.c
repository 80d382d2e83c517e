#include "memory/process_memory.h"

#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void process_memory_return_freed(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

#ifdef __APPLE__

#include <mach/mach.h>

bool process_memory_read(struct process_memory *out, struct error *err)
{
    struct mach_task_basic_info basic;
    struct task_vm_info vm;
    mach_msg_type_number_t n_basic = MACH_TASK_BASIC_INFO_COUNT, n_vm = TASK_VM_INFO_COUNT;

    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&basic, &n_basic) !=
            KERN_SUCCESS ||
        task_info(mach_task_self(), TASK_VM_INFO, (task_info_t)&vm, &n_vm) != KERN_SUCCESS)
        return error_set(err, ERROR_IO, "the system does not tell this process's memory");
    *out = (struct process_memory){
        .resident_bytes = basic.resident_size,
        .peak_bytes = basic.resident_size_max,
        .anonymous_bytes = vm.internal + vm.compressed,
    };
    return true;
}

bool process_memory_reset_peak(void)
{
    return false;
}

#else

#include <inttypes.h>

bool process_memory_read(struct process_memory *out, struct error *err)
{
    struct process_memory m = {0};
    char line[256];
    int found = 0;

    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return error_set(err, ERROR_IO, "cannot open /proc/self/status");
    while (fgets(line, sizeof line, f)) {
        static const char *const key[] = {"VmRSS:", "VmHWM:", "RssAnon:"};
        uint64_t *const value[] = {&m.resident_bytes, &m.peak_bytes, &m.anonymous_bytes};
        for (int i = 0; i < 3; i++) {
            size_t len = strlen(key[i]);
            if (strncmp(line, key[i], len) != 0)
                continue;
            *value[i] = (uint64_t)strtoumax(line + len, NULL, 10) * 1024; /* the file says kB */
            found++;
        }
    }
    fclose(f);
    if (found != 3)
        return error_set(err, ERROR_IO, "/proc/self/status does not tell this process's memory");
    /* The kernel updates the mark lazily: it may lag behind what is resident now. */
    if (m.peak_bytes < m.resident_bytes)
        m.peak_bytes = m.resident_bytes;
    *out = m;
    return true;
}

bool process_memory_reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    if (!f)
        return false;
    bool ok = fputs("5", f) >= 0; /* proc(5): 5 resets the peak resident set size */
    return fclose(f) == 0 && ok;
}

#endif
