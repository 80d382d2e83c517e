#include "base/program.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

bool program_folder(char out[PROGRAM_PATH_BYTES])
{
#ifdef __APPLE__
    char raw[PROGRAM_PATH_BYTES];
    uint32_t size = sizeof raw;
    char *real = _NSGetExecutablePath(raw, &size) == 0 ? realpath(raw, NULL) : NULL;
#else
    char *real = realpath("/proc/self/exe", NULL);
#endif
    char *slash = real ? strrchr(real, '/') : NULL;
    size_t len = slash ? (size_t)(slash - real) : 0;
    bool ok = slash && len < PROGRAM_PATH_BYTES;

    if (ok) {
        memcpy(out, real, len);
        out[len] = 0;
    }
    free(real);
    return ok;
}

bool program_beside(char out[PROGRAM_PATH_BYTES], const char *name, struct error *err)
{
    char folder[PROGRAM_PATH_BYTES];

    if (!program_folder(folder) ||
        (size_t)snprintf(out, PROGRAM_PATH_BYTES, "%s/%s", folder, name) >= PROGRAM_PATH_BYTES ||
        access(out, R_OK) != 0)
        return error_set(err, ERROR_NOT_FOUND, "there is no %.200s beside the program", name);
    return true;
}
