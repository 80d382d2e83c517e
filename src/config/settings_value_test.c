#include "base/test.h"
#include "config/settings_value.h"

#include <string.h>

static void reads_and_writes_values_of_every_kind(void)
{
    static const struct {
        const char *key, *text, *want; /* NULL: refused */
    } row[] = {
        {"max_image_size", "1024x768", "1024x768"},
        {"max_image_size", "64X64", "64x64"},
        {"max_image_size", "auto", "auto"},
        {"max_image_size", "63x64", NULL},
        {"max_image_size", "64x16385", NULL},
        {"max_image_size", "1024x", NULL},
        {"max_image_size", "x1024", NULL},
        {"max_image_size", "1024x1024x3", NULL},
        {"max_image_size", "1024 x 1024", NULL},
        {"max_image_size", "+512x512", NULL},
        {"max_image_size", "99999999999999999999999x64", NULL},
        {"memory_budget", "6GiB", "6GiB"},
        {"memory_budget", "8.5G", "8704MiB"},
        {"memory_budget", "1048577", "1048577"},
        {"memory_budget", "1K", NULL},
        {"memory_budget", "Auto", NULL},
        {"memory_reserve", "0", "0"},
        {"total", "1T", "1TiB"},
        {"memory_thresholds", "6 12 18 24 32", "6 12 18 24 32"},
        {"memory_thresholds", "6,12.5, 18,24", "6 12.5 18 24 24"},
        {"memory_thresholds", "6 12 18", NULL},
        {"memory_thresholds", "6 12 18 24 32 40", NULL},
        {"memory_thresholds", "6 12 12 24", NULL},
        {"memory_thresholds", "6 12 18 24 23", NULL},
        {"memory_thresholds", "0 12 18 24", NULL},
        {"memory_thresholds", "6 12 nan 24", NULL},
        {"max_image_sizes_cpu", "64x64 64x64 512x512 512x512 16384x16384",
         "64x64 64x64 512x512 512x512 16384x16384"},
        {"max_image_sizes_cpu", "64x64 64x64 512x512 512x512", NULL},
        {"max_image_sizes_cpu", "64x64 64x64 512x512 512x512 auto", NULL},
        {"enable_vae_tiling", "yes", "true"},
        {"enable_vae_tiling", "AUTO", "auto"},
        {"enable_vae_tiling", "t", NULL},
        {"size_policy", "refuse", "refuse"},
        {"size_policy", "ref", NULL},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct settings s, before;
        struct settings_origins origins;
        struct error err = {0};
        char text[SETTINGS_TEXT_BYTES];
        const struct settings_row *r = settings_find(row[i].key);

        settings_defaults(&s, &origins);
        memcpy(&before, &s, sizeof s);
        bool ok = settings_value_parse((unsigned char *)&s + r->offset, r, row[i].text, &err);
        settings_value_write(text, sizeof text, r, (unsigned char *)&s + r->offset);
        bool right = row[i].want
                         ? ok && strcmp(text, row[i].want) == 0
                         : !ok && err.code == ERROR_INVALID && memcmp(&before, &s, sizeof s) == 0;
        if (!right)
            fprintf(stderr, "row: %s=%s: %s %s\n", row[i].key, row[i].text, text, err.text);
        CHECK(right);
    }
}

static void tells_what_every_row_takes(void)
{
    for (size_t i = 0; i < settings_row_count; i++) {
        char text[128] = "";
        settings_value_allowed(text, sizeof text, &settings_rows[i]);
        CHECK(text[0] && strlen(text) < sizeof text - 1);
    }
}

int main(void)
{
    reads_and_writes_values_of_every_kind();
    tells_what_every_row_takes();
    return TEST_END();
}
