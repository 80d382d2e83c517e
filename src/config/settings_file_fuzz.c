#include "config/settings_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What is refused is refused by name and changes nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings s, before;
    struct settings_origins origins;
    struct error err = {0};

    settings_defaults(&s, &origins);
    memcpy(&before, &s, sizeof s); /* padding too, for memcmp */
    if (settings_file_read_bytes(&s, &origins, "fuzz", data, size, &err)) {
        if (s.port < 0 || s.port > 65535 || s.queue_size < 1)
            abort();
        return 0;
    }
    if (err.code == ERROR_NONE || strncmp(err.text, "fuzz:", 5) != 0 ||
        memcmp(&before, &s, sizeof s) != 0)
        abort();
    return 0;
}
