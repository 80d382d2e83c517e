#include "base/test.h"
#include "config/env_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char seen[1000];
static struct error err;

static bool note(void *ctx, const char *name, const char *value, struct error *e)
{
    size_t used = strlen(seen);
    (void)ctx;
    (void)e;
    snprintf(seen + used, sizeof seen - used, "%s=[%s]", name, value);
    return true;
}

static bool reads(const char *text)
{
    seen[0] = 0;
    err = (struct error){0};
    return env_file_read_bytes(".env", text, strlen(text), note, NULL, &err);
}

static void reads_what_shells_read(void)
{
    CHECK(reads("# comment\n\n  A=1\nexport B = two words  # comment\nC=\"a\\n\\\"b\\\" $x\" # c\n"
                "D='raw \\n'\nE=\nF=a#b\r\nG=\"two\nlines\""));
    CHECK(strcmp(seen, "A=[1]B=[two words]C=[a\n\"b\" $x]D=[raw \\n]E=[]F=[a#b]G=[two\nlines]") ==
          0);
    CHECK(reads("") && !seen[0]);
}

static void says_where_it_is_wrong(void)
{
    static const struct {
        const char *text, *says;
    } row[] = {
        {"A=1\n2B=x\n", ".env:2: a variable's name"},
        {"A\n", ".env:1: there is no ="},
        {"\n\nA=\"x\n", ".env:4: a quote"},
        {"A='x' y\n", ".env:1: there is something behind"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        CHECK(!reads(row[i].text) && err.code == ERROR_INVALID);
        if (strncmp(err.text, row[i].says, strlen(row[i].says)) != 0)
            fprintf(stderr, "%s\n", err.text);
        CHECK(strncmp(err.text, row[i].says, strlen(row[i].says)) == 0);
    }
}

static void leaves_the_environment_first(void)
{
    char path[] = "/tmp/env_file_test.XXXXXX";
    static const char text[] = "ENV_FILE_TEST_A=file\nENV_FILE_TEST_B=file\n";
    int fd = mkstemp(path);

    CHECK(fd >= 0 && write(fd, text, sizeof text - 1) > 0);
    close(fd);
    setenv("ENV_FILE_TEST_A", "mine", 1);
    unsetenv("ENV_FILE_TEST_B");
    CHECK(env_file_apply(path, &err));
    CHECK(strcmp(getenv("ENV_FILE_TEST_A"), "mine") == 0);
    CHECK(getenv("ENV_FILE_TEST_B") && strcmp(getenv("ENV_FILE_TEST_B"), "file") == 0);
    unlink(path);
    CHECK(env_file_apply(path, &err)); /* no file is fine */
}

int main(void)
{
    reads_what_shells_read();
    says_where_it_is_wrong();
    leaves_the_environment_first();
    return TEST_END();
}
