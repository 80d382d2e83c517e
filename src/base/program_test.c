#include "base/program.h"
#include "base/test.h"

#include <string.h>

static void finds_itself(void)
{
    char path[PROGRAM_PATH_BYTES];
    struct error err = {0};

    CHECK(program_beside(path, "program_test", &err));
    CHECK(path[0] == '/' && strcmp(strrchr(path, '/'), "/program_test") == 0);
}

static void names_what_is_not_there(void)
{
    char path[PROGRAM_PATH_BYTES];
    struct error err = {0};

    CHECK(!program_beside(path, "no-such-program", &err));
    CHECK(err.code == ERROR_NOT_FOUND && strstr(err.text, "no-such-program"));
}

int main(void)
{
    finds_itself();
    names_what_is_not_there();
    return TEST_END();
}
