/* The program diffusionapi: reads the command line and turns errors into one sentence and a status.
 */
#include "app/cli_check_memory.h"
#include "app/cli_client.h"
#include "app/cli_flags.h"
#include "app/cli_generate.h"
#include "app/cli_help.h"
#include "app/cli_info.h"
#include "app/cli_inspect.h"
#include "app/cli_interrupt.h"
#include "app/cli_lora_check.h"
#include "app/cli_models.h"
#include "app/cli_plan.h"
#include "app/cli_status.h"
#include "app/cli_upscale.h"
#include "app/serve.h"
#include "app/worker.h"
#include "config/env_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *from_environment(const char *name)
{
    return getenv(name);
}

static bool run_help(const struct cli_options *o, struct error *err)
{
    const struct cli_command *about = o->argument ? cli_flags_find_command(o->argument) : NULL;
    if (o->argument && !about)
        return cli_flags_unknown_command(err, o->argument);
    cli_help_print(stdout, about);
    return true;
}

static bool run_command(const struct cli_options *o, char **argv, struct error *err)
{
    if (o->help) {
        cli_help_print(stdout, o->command);
        return true;
    }
    switch (o->command->bit) {
    case CLI_TXT2IMG:
    case CLI_IMG2IMG:
        cli_interrupt_install();
        return cli_generate_run(o, stderr, err);
    case CLI_PLAN:
        return cli_plan_run(o, stdout, err);
    case CLI_CHECK_MEMORY:
        return cli_check_memory_run(o, stdout, err);
    case CLI_INFO:
        return cli_info_run(o, stdout, err);
    case CLI_INSPECT:
        return cli_inspect_run(o, stdout, err);
    case CLI_LORA_CHECK:
        return cli_lora_check_run(o, stdout, err);
    case CLI_MODELS:
        cli_interrupt_install();
        return cli_models_run(o, stdout, err);
    case CLI_UPSCALE:
        cli_interrupt_install();
        return cli_upscale_run(o, stderr, err);
    case CLI_SERVE:
        return serve_run(o, stdout, err);
    case CLI_CLIENT:
        return cli_client_exec(argv, err);
    case CLI_SETTINGS:
        cli_help_print_settings(stdout, o);
        return true;
    case CLI_SAMPLERS:
        cli_help_print_samplers(stdout);
        return true;
    case CLI_VERSION:
        fprintf(stdout, "diffusionapi %s\n", cli_help_version());
        return true;
    default:
        return run_help(o, err);
    }
}

int main(int argc, char **argv)
{
    struct cli_options options;
    struct error err = {0};

    if (worker_is_asked_for(argc, argv))
        return worker_main(argv);
    /* The server's variables may also stand in a file, as the original's did. */
    bool is_server = argc > 1 && strcmp(argv[1], "serve") == 0;
    bool ok = (!is_server || env_file_apply(".env", &err)) &&
              cli_flags_parse(&options, argc, argv, from_environment, &err) &&
              run_command(&options, argv, &err);
    if (ok && (fflush(stdout) != 0 || ferror(stdout)))
        ok = error_set(&err, ERROR_IO, "cannot write to standard output");
    return ok ? 0 : cli_status_report(&err);
}
