/* What the program uses of macOS's <mach/mach.h>, as documented, so that the macOS files can be
 * checked for syntax and types where there is no macOS.  Nothing here runs. */
#ifndef TESTS_MACOS_MACH_H
#define TESTS_MACOS_MACH_H

#include <stdint.h>

typedef int kern_return_t;
typedef unsigned int natural_t, mach_port_t, mach_msg_type_number_t;
typedef int integer_t;
typedef uintptr_t vm_size_t;
typedef uint64_t mach_vm_size_t;
typedef mach_port_t host_t, task_name_t;
typedef int host_flavor_t, task_flavor_t;
typedef integer_t *host_info64_t, *task_info_t;

enum { KERN_SUCCESS = 0, HOST_VM_INFO64 = 4, MACH_TASK_BASIC_INFO = 20, TASK_VM_INFO = 22 };

struct vm_statistics64 {
    natural_t free_count, active_count, inactive_count, wire_count, purgeable_count;
};
struct mach_task_basic_info {
    mach_vm_size_t virtual_size, resident_size, resident_size_max;
};
struct task_vm_info {
    mach_vm_size_t internal, compressed;
};

#define HOST_VM_INFO64_COUNT                                                                       \
    ((mach_msg_type_number_t)(sizeof(struct vm_statistics64) / sizeof(integer_t)))
#define MACH_TASK_BASIC_INFO_COUNT                                                                 \
    ((mach_msg_type_number_t)(sizeof(struct mach_task_basic_info) / sizeof(natural_t)))
#define TASK_VM_INFO_COUNT                                                                         \
    ((mach_msg_type_number_t)(sizeof(struct task_vm_info) / sizeof(natural_t)))

mach_port_t mach_host_self(void);
mach_port_t mach_task_self(void);
kern_return_t host_page_size(host_t host, vm_size_t *page_bytes);
kern_return_t host_statistics64(host_t host, host_flavor_t flavor, host_info64_t out,
                                mach_msg_type_number_t *count);
kern_return_t task_info(task_name_t task, task_flavor_t flavor, task_info_t out,
                        mach_msg_type_number_t *count);

#endif
