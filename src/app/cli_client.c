#include "app/cli_client.h"

#include "base/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool cli_client_exec(char **argv, struct error *err)
{
    char path[PROGRAM_PATH_BYTES];

    if (!program_beside(path, "diffusionapi-client", err))
        return false;
    execv(path, argv);
    error_set_errno(err, errno, "cannot start it");
    return error_prefix(err, "%.300s", path);
}
