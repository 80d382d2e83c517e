#include "app/cli_flags.h"
#include "base/test.h"

#include <string.h>

enum { MAX_WORDS = 8 };

static const char *no_variable(const char *name)
{
    (void)name;
    return NULL;
}

/* Parses words up to a NULL, program name included. */
static bool parse(struct cli_options *o, char *const words[MAX_WORDS], struct error *err)
{
    int n = 0;
    while (n < MAX_WORDS && words[n])
        n++;
    *err = (struct error){0};
    return cli_flags_parse(o, n, words, no_variable, err);
}

static void takes_both_spellings_of_a_value(void)
{
    struct cli_options o;
    struct error err;

    CHECK(parse(&o, (char *[MAX_WORDS]){"d", "txt2img", "--prompt", "a cat", "--steps=7"}, &err));
    CHECK(strcmp(o.prompt, "a cat") == 0 && o.steps == 7);
    CHECK(parse(&o, (char *[MAX_WORDS]){"d", "txt2img", "--prompt=--odd", "--seed", "-1"}, &err));
    CHECK(strcmp(o.prompt, "--odd") == 0 && o.seed == -1);
    CHECK(!parse(&o, (char *[MAX_WORDS]){"d", "txt2img", "--prompt", "--steps"}, &err));
    CHECK(strstr(err.text, "--prompt needs a value"));
}

static void a_schedule_behind_the_sampler_counts_unless_one_is_named(void)
{
    struct cli_options o;
    struct error err;

    CHECK(parse(&o, (char *[MAX_WORDS]){"d", "txt2img", "--sampler", "dpm++_2m karras"}, &err));
    CHECK(o.sampler_suffix == SCHEDULE_KARRAS && !o.scheduler);
    CHECK(parse(&o,
                (char *[MAX_WORDS]){"d", "txt2img", "--scheduler", "uniform", "--sampler",
                                    "DPM++ 2M Karras"},
                &err));
    CHECK(o.scheduler && o.scheduler->kind == SCHEDULE_UNIFORM);
}

static void every_setting_is_a_flag_of_every_command(void)
{
    for (const struct cli_command *c = cli_flags_commands; c->name; c++)
        for (size_t i = 0; i < settings_row_count; i++) {
            struct cli_options o;
            struct error err;
            char flag[80] = "--", name[64];
            cli_flags_setting_name(name, sizeof name, &settings_rows[i]);
            snprintf(flag, sizeof flag, "--%s", name);
            char *words[MAX_WORDS] = {"d", (char *)(uintptr_t)c->name, flag,
                                      (char *)(uintptr_t)settings_rows[i].fallback};
            int n = 4;
            if (c->argument_needed)
                words[n++] = "path";
            if (c->bit == CLI_IMG2IMG)
                words[n++] = "--image=x.png";
            CHECK(parse(&o, words, &err));
            CHECK(o.origins.from[i] == SETTINGS_FLAG);
        }
}

static void every_unknown_flag_lists_all_that_there_are(void)
{
    for (const struct cli_command *c = cli_flags_commands; c->name; c++) {
        struct cli_options o;
        struct error err;
        char *words[MAX_WORDS] = {"d", (char *)(uintptr_t)c->name,
                                  "--a-very-long-flag-that-nobody-has-ever-heard-of"};
        CHECK(!parse(&o, words, &err));
        CHECK(err.code == ERROR_INVALID);
        for (const struct cli_flag *f = cli_flags_rows; f->name; f++)
            CHECK(!(f->commands & c->bit) || strstr(err.text, f->name));
        CHECK(strstr(err.text, "`diffusionapi settings`")); /* the list was not cut */
    }
}

static void numbers_are_held_to_their_rows_range(void)
{
    for (const struct cli_flag *f = cli_flags_rows; f->name; f++) {
        struct cli_options o;
        struct error err;
        char below[100], above[100];
        if (f->kind != CLI_INT && f->kind != CLI_NUMBER)
            continue;
        char *command = f->commands & CLI_IMG2IMG ? "img2img" : "upscale";
        snprintf(below, sizeof below, "--%s=%.0f", f->name, f->min - 1);
        snprintf(above, sizeof above, "--%s=%.0f", f->name, f->max + 1);
        CHECK(!parse(&o, (char *[MAX_WORDS]){"d", command, below}, &err));
        CHECK(strstr(err.text, f->name));
        CHECK(!parse(&o, (char *[MAX_WORDS]){"d", command, above}, &err));
        snprintf(above, sizeof above, "--%s=%.0f", f->name, f->max);
        CHECK(parse(&o, (char *[MAX_WORDS]){"d", command, "--image=x", above}, &err));
    }
}

int main(void)
{
    takes_both_spellings_of_a_value();
    a_schedule_behind_the_sampler_counts_unless_one_is_named();
    every_setting_is_a_flag_of_every_command();
    every_unknown_flag_lists_all_that_there_are();
    numbers_are_held_to_their_rows_range();
    return TEST_END();
}
