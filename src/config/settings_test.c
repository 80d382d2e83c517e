#include "base/test.h"
#include "config/settings.h"

#include <string.h>

static const char *set_name, *set_value;

static const char *fake_environment(const char *name)
{
    return set_name && strcmp(name, set_name) == 0 ? set_value : NULL;
}

static void every_row_takes_its_default_and_refuses_what_is_beyond_its_range(void)
{
    struct settings s;
    struct settings_origins origins;
    settings_defaults(&s, &origins);

    for (size_t i = 0; i < settings_row_count; i++) {
        const struct settings_row *row = &settings_rows[i];
        struct error err = {0};
        char text[SETTINGS_TEXT_BYTES];
        settings_write(text, sizeof text, &s, row);
        CHECK(strcmp(text, row->fallback) == 0);
        CHECK(row->help[0]);
        CHECK(settings_set(&s, &origins, row->key, row->fallback, &err));
        CHECK(origins.from[i] == SETTINGS_FLAG);
        if (row->kind == SETTINGS_INT) {
            snprintf(text, sizeof text, "%lld", (long long)row->max + 1);
            CHECK(!settings_set(&s, &origins, row->key, text, &err));
            CHECK(err.code == ERROR_INVALID && strstr(err.text, row->key));
            CHECK(!settings_set(&s, &origins, row->key, "7x", &err));
        }
        if (row->kind == SETTINGS_BYTES) {
            CHECK(!settings_set(&s, &origins, row->key, "2048T", &err));
            CHECK(err.code == ERROR_INVALID && strstr(err.text, row->key));
        }
        if (row->choices || row->kind > SETTINGS_INT)
            CHECK(!settings_set(&s, &origins, row->key, "nonsense", &err));
    }
}

static void the_environment_wins_over_defaults_and_flags_over_both(void)
{
    struct settings s;
    struct settings_origins origins;
    struct error err = {0};

    settings_defaults(&s, &origins);
    set_name = "DIFFUSIONAPI_THREADS", set_value = "3";
    CHECK(settings_from_environment(&s, &origins, fake_environment, &err));
    CHECK(s.threads == 3);
    CHECK(settings_set(&s, &origins, "threads", "5", &err));
    CHECK(s.threads == 5);

    set_name = "MODELS_DIR", set_value = "/m";
    CHECK(settings_from_environment(&s, &origins, fake_environment, &err));
    CHECK(strcmp(s.models_dir, "/m") == 0);
}

static const char *both_names(const char *name)
{
    return strcmp(name, "DIFFUSIONAPI_ENABLE_CPU_OFFLOAD") == 0         ? "false"
           : strcmp(name, "DIFFUSIONAPI_ENABLE_MODEL_CPU_OFFLOAD") == 0 ? set_value
                                                                        : NULL;
}

static void a_second_name_gives_way_but_must_parse(void)
{
    struct settings s;
    struct settings_origins origins;
    struct error err = {0};

    settings_defaults(&s, &origins);
    set_value = "true";
    CHECK(settings_from_environment(&s, &origins, both_names, &err));
    CHECK(s.enable_cpu_offload == TRI_FALSE);
    set_value = "perhaps";
    CHECK(!settings_from_environment(&s, &origins, both_names, &err));
    CHECK(strstr(err.text, "DIFFUSIONAPI_ENABLE_MODEL_CPU_OFFLOAD"));
}

static void knows_every_documented_variable_of_memory(void)
{
    static const struct {
        const char *name, *value, *key, *bad, *allowed;
    } row[] = {
        {"MAX_IMAGE_SIZE", "1024x1024", "max_image_size", "1024", "1024x1024"},
        {"ENABLE_VAE_TILING", "true", "enable_vae_tiling", "ja", "true, false, auto"},
        {"ENABLE_ATTENTION_SLICING", "false", "enable_attention_slicing", "2", "auto"},
        {"ENABLE_CPU_OFFLOAD", "true", "enable_cpu_offload", "", "auto"},
        {"ENABLE_MODEL_CPU_OFFLOAD", "false", "enable_cpu_offload", "x", "auto"},
        {"ENABLE_SEQUENTIAL_CPU_OFFLOAD", "true", "enable_sequential_cpu_offload", "x", "auto"},
        {"ENABLE_MEMORY_EFFICIENT_ATTENTION", "auto", "enable_memory_efficient_attention", "x",
         "auto"},
        {"REDUCE_VAE_SAMPLE_SIZE", "true", "reduce_vae_sample_size", "512", "auto"},
        {"FORCE_CLEANUP_AFTER_GENERATION", "true", "force_cleanup_after_generation", "x", "auto"},
        {"CLEANUP_BEFORE_LOADING", "false", "cleanup_before_loading", "x", "auto"},
        {"MEMORY_CONFIG", "/some/file.json", "memory_config", NULL, NULL},
        {"SIZE_POLICY", "planned", "size_policy", "tables", "table planned refuse"},
        {"MEMORY_BUDGET", "6GiB", "memory_budget", "6 apples", "6GiB"},
        {"MEMORY_RESERVE", "0", "memory_reserve", "-1", "512M"},
        {"MODEL_IDLE_SECONDS", "60", "model_idle_seconds", "1.5", "whole number"},
        {"DEVICE", "mps", "device", "tpu", "auto cpu cuda mps"},
        {"TOTAL", "16GiB", "total", "1K", "1048576"},
        {"AVAILABLE", "8704MiB", "available", "8,5G", "8.5G"},
        {"MEMORY_THRESHOLDS", "4 8 16 24 32", "memory_thresholds", "8 4 16 24", "must rise"},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct settings s;
        struct settings_origins origins;
        struct error err = {0};
        char name[96], text[SETTINGS_TEXT_BYTES];
        const struct settings_row *r = settings_find(row[i].key);

        settings_defaults(&s, &origins);
        snprintf(name, sizeof name, "DIFFUSIONAPI_%s", row[i].name);
        set_name = name, set_value = row[i].value;
        CHECK(settings_from_environment(&s, &origins, fake_environment, &err));
        settings_write(text, sizeof text, &s, r);
        CHECK(strcmp(text, row[i].value) == 0);
        CHECK(origins.from[r - settings_rows] == SETTINGS_VARIABLE);
        if (!row[i].bad)
            continue;
        set_value = row[i].bad;
        CHECK(!settings_from_environment(&s, &origins, fake_environment, &err));
        bool tells = strstr(err.text, name) && strstr(err.text, row[i].bad) &&
                     strstr(err.text, row[i].allowed) && err.code == ERROR_INVALID;
        if (!tells)
            fprintf(stderr, "%s\n", err.text);
        CHECK(tells);
    }
}

static void a_bad_variable_is_named_with_what_is_allowed(void)
{
    struct settings s;
    struct settings_origins origins;
    struct error err = {0};

    settings_defaults(&s, &origins);
    set_name = "DIFFUSIONAPI_ISA", set_value = "mmx";
    CHECK(!settings_from_environment(&s, &origins, fake_environment, &err));
    CHECK(strstr(err.text, "DIFFUSIONAPI_ISA") && strstr(err.text, "mmx") &&
          strstr(err.text, "portable"));
    CHECK(!settings_set(&s, &origins, "colour", "red", &err));
    CHECK(settings_find("max-side") != NULL);
}

static void has_a_quality_for_every_format_that_loses_something(void)
{
    struct settings_origins origins;
    struct settings s;

    settings_defaults(&s, &origins);
    s.jpeg_quality = 1;
    s.webp_quality = 2;
    s.avif_quality = 3;
    CHECK(settings_quality(&s, "jpg") == 1 && settings_quality(&s, "JPEG") == 1);
    CHECK(settings_quality(&s, "webp") == 2 && settings_quality(&s, "avif") == 3);
    CHECK(settings_quality(&s, "png") == 100);
}

int main(void)
{
    every_row_takes_its_default_and_refuses_what_is_beyond_its_range();
    the_environment_wins_over_defaults_and_flags_over_both();
    a_second_name_gives_way_but_must_parse();
    knows_every_documented_variable_of_memory();
    a_bad_variable_is_named_with_what_is_allowed();
    has_a_quality_for_every_format_that_loses_something();
    return TEST_END();
}
