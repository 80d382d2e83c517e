#include "config/memory_file.h"
#include "config/settings_value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_sound(const struct settings_size sizes[SETTINGS_LEVELS])
{
    for (int i = 0; i < SETTINGS_LEVELS; i++)
        if (sizes[i].width < SETTINGS_SIDE_MIN || sizes[i].height > SETTINGS_SIDE_MAX)
            return false;
    return true;
}

/* What is taken is sound; what is refused is refused at a place and changes nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings s, before;
    struct settings_origins origins, origins_before;
    struct error err = {0};

    settings_defaults(&s, &origins);
    memcpy(&before, &s, sizeof s); /* padding too, for memcmp */
    origins_before = origins;
    if (memory_file_read_bytes(&s, &origins, "fuzz", data, size, &err)) {
        if (settings_value_first_fall(s.memory_thresholds) != SETTINGS_LEVELS ||
            !is_sound(s.max_image_sizes_mps) || !is_sound(s.max_image_sizes_cuda) ||
            !is_sound(s.max_image_sizes_cpu))
            abort();
        return 0;
    }
    if (err.code == ERROR_NONE || strncmp(err.text, "fuzz:", 5) != 0)
        abort();
    if (err.code == ERROR_INVALID) {
        size_t lines = 1;
        for (size_t i = 0; i < size; i++)
            lines += data[i] == '\n';
        unsigned long line = strtoul(err.text + 5, NULL, 10);
        if (line < 1 || line > lines)
            abort();
    }
    if (memcmp(&s, &before, sizeof s) != 0 ||
        memcmp(&origins, &origins_before, sizeof origins) != 0)
        abort();
    return 0;
}
