/* Detection for macOS.  Elsewhere this file is empty. */
#include "memory/machine.h"

#ifdef __APPLE__

#include <mach/mach.h>
#include <sys/sysctl.h>
#include <sys/types.h>

bool machine_macos_detect(struct machine *out, struct error *err)
{
    uint64_t total = 0;
    size_t len = sizeof total;
    struct vm_statistics64 vm;
    mach_msg_type_number_t n = HOST_VM_INFO64_COUNT;
    vm_size_t page = 0;
    int level = 1;
    size_t level_len = sizeof level;

    if (sysctlbyname("hw.memsize", &total, &len, NULL, 0) != 0 ||
        host_page_size(mach_host_self(), &page) != KERN_SUCCESS ||
        host_statistics64(mach_host_self(), HOST_VM_INFO64, (host_info64_t)&vm, &n) != KERN_SUCCESS)
        return error_set(err, ERROR_IO, "the system does not tell its memory");
    uint64_t pages = (uint64_t)vm.free_count + vm.inactive_count + vm.purgeable_count;
    uint64_t available = pages * page;

    /* 1 normal, 2 warning, 4 critical: the dispatch memory pressure flags. */
    sysctlbyname("kern.memorystatus_vm_pressure_level", &level, &level_len, NULL, 0);
    *out = (struct machine){
        .device = MACHINE_CPU,
        .total_bytes = total,
        .available_bytes = available < total ? available : total,
        .pressure = level >= 4   ? MACHINE_CRITICAL
                    : level >= 2 ? MACHINE_WARNING
                                 : MACHINE_NORMAL,
    };
    return true;
}

#else

/* ISO C wants at least one declaration in a file. */
typedef int machine_macos_nothing;

#endif
