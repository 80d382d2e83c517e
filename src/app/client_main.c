/* The program behind `diffusionapi client`: a process of its own, so that the library that speaks
 * HTTP takes no memory in the one that computes. */
#include "app/cli_flags.h"
#include "app/cli_interrupt.h"
#include "app/cli_status.h"
#include "app/client_flow.h"

#include <curl/curl.h>
#include <stdlib.h>

static const char *from_environment(const char *name)
{
    return getenv(name);
}

int main(int argc, char **argv)
{
    struct cli_options options;
    struct error err = {0};

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(&err, ERROR_MEMORY, "libcurl does not start");
        return cli_status_report(&err);
    }
    bool ok = cli_flags_parse(&options, argc, argv, from_environment, &err);
    if (ok && options.command->bit != CLI_CLIENT)
        ok = error_set(&err, ERROR_INVALID, "this program has one command: client");
    if (ok) {
        cli_interrupt_install();
        ok = client_flow_run(&options, stderr, &err);
    }
    if (ok && (fflush(stdout) != 0 || ferror(stdout)))
        ok = error_set(&err, ERROR_IO, "cannot write to standard output");
    curl_global_cleanup();
    return ok ? 0 : cli_status_report(&err);
}
