/* What the program uses of macOS's <sys/sysctl.h>; see mach/mach.h here. */
#ifndef TESTS_MACOS_SYSCTL_H
#define TESTS_MACOS_SYSCTL_H

#include <stddef.h>

int sysctlbyname(const char *name, void *old, size_t *old_len, void *fresh, size_t fresh_len);

#endif
