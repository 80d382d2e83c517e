#include "app/cli_help.h"

#include <string.h>

const char *cli_help_version(void)
{
    return DIFFUSIONAPI_VERSION;
}

static void print_commands(FILE *to)
{
    fputs("diffusionapi makes pictures from text with diffusion models, on this machine.\n\n"
          "usage: diffusionapi COMMAND [--flag VALUE | --flag=VALUE] ...\n\ncommands:\n",
          to);
    for (const struct cli_command *c = cli_flags_commands; c->name; c++)
        fprintf(to, "  %-12s %-8s %s\n", c->name, c->argument ? c->argument : "", c->help);
    fputs("\n`diffusionapi help COMMAND` lists the command's flags.  Exit status: 0 done, 2 bad "
          "input,\n130 interrupted, 1 anything else.\n",
          to);
}

static void print_row(FILE *to, const char *name, const char *value, const char *help)
{
    char left[80];
    snprintf(left, sizeof left, "--%s %s", name, value);
    fprintf(to, "  %-26s %s\n", left, help);
}

void cli_help_print(FILE *to, const struct cli_command *command)
{
    if (!command) {
        print_commands(to);
        return;
    }
    fprintf(to, "usage: diffusionapi %s%s%s [flags]\n\n%s: %s\n\nflags (default):\n", command->name,
            command->argument ? " " : "", command->argument ? command->argument : "", command->name,
            command->help);
    for (const struct cli_flag *f = cli_flags_rows; f->name; f++)
        if (f->commands & command->bit)
            print_row(to, f->name,
                      f->kind == CLI_SETTING  ? "DIR"
                      : f->kind == CLI_SWITCH ? ""
                                              : f->value,
                      f->help);
    fputs("\nsettings (default), also from the environment; see docs/settings.md:\n", to);
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct settings_row *row = &settings_rows[i];
        char name[64], help[400];
        cli_flags_setting_name(name, sizeof name, row);
        snprintf(help, sizeof help, "%s (%s)", row->help,
                 row->fallback[0] ? row->fallback : "empty");
        print_row(to, name, row->kind == SETTINGS_INT ? "N" : "TEXT", help);
    }
}

void cli_help_print_samplers(FILE *to)
{
    fputs("samplers (the scheduler that Automatic means):\n", to);
    for (const struct sampler *s = sampler_rows; s->name; s++)
        fprintf(to, "  %-17s %s\n", s->name,
                s->keeps_own_schedule ? "(steps of its own)" : schedule_rows[s->schedule].name);
    fputs("\nschedulers:\n", to);
    for (int i = 0; i < SCHEDULE_KINDS; i++)
        fprintf(to, "  %s\n", schedule_rows[i].name);
}

void cli_help_print_settings(FILE *to, const struct cli_options *o)
{
    if (o->manual) {
        settings_print_manual(to);
        return;
    }
    for (size_t i = 0; i < settings_row_count; i++) {
        char value[SETTINGS_TEXT_BYTES];
        settings_write(value, sizeof value, &o->settings, &settings_rows[i]);
        bool hidden = value[0] && settings_is_secret(&settings_rows[i]);
        fprintf(to, "%-22s %-24s (%s)\n", settings_rows[i].key,
                hidden     ? "(set)"
                : value[0] ? value
                           : "(empty)",
                settings_origin_name((enum settings_origin)o->origins.from[i]));
    }
}
