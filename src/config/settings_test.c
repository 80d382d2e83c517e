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
        if (row->choices)
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

int main(void)
{
    every_row_takes_its_default_and_refuses_what_is_beyond_its_range();
    the_environment_wins_over_defaults_and_flags_over_both();
    a_bad_variable_is_named_with_what_is_allowed();
    return TEST_END();
}
