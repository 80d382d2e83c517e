#include "base/fs.h"
#include "base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/mount.h>
#endif

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int count_files(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    CHECK(d != NULL);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n - 2; /* . and .. */
}

static bool holds(const char *path, const char *want)
{
    char *text = NULL;
    size_t len = 0;
    struct error err;
    bool same =
        fs_read(&text, &len, path, 1 << 20, &err) && len == strlen(want) && strcmp(text, want) == 0;
    free(text);
    return same;
}

static void writes_and_replaces_a_file(void)
{
    struct error err;
    CHECK(fs_write(in_folder("a"), "one", 3, &err));
    CHECK(holds(in_folder("a"), "one"));
    CHECK(fs_write(in_folder("a"), "", 0, &err));
    CHECK(holds(in_folder("a"), ""));
    CHECK(count_files() == 1);
    unlink(in_folder("a"));
}

static void refuses_places_that_are_not_files(void)
{
    struct error err;
    CHECK(!fs_write(folder, "x", 1, &err) && err.code == ERROR_INVALID);
    CHECK(!fs_write("/dev/null", "x", 1, &err) && err.code == ERROR_INVALID);
    CHECK(!fs_write(in_folder("none/a"), "x", 1, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(count_files() == 0);
}

/* Writes more than fits over a file that was there before: it must stay, and alone. */
static void check_full(void)
{
    static char much[1 << 20];
    struct error err = {0};

    CHECK(!fs_write(in_folder("a"), much, sizeof much, &err));
    CHECK(err.code == ERROR_IO);
    CHECK(holds(in_folder("a"), "old"));
    CHECK(count_files() == 1);
}

static void leaves_no_half_file_at_a_size_limit(void)
{
    struct rlimit old, tight;
    struct error err;

    CHECK(fs_write(in_folder("a"), "old", 3, &err));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = 100000;
    setrlimit(RLIMIT_FSIZE, &tight);
    check_full();
    setrlimit(RLIMIT_FSIZE, &old);
    unlink(in_folder("a"));
}

static void leaves_no_half_file_on_a_full_disk(void)
{
#ifdef __linux__
    struct error err;
    if (mount("none", folder, "tmpfs", 0, "size=256k") != 0)
        return; /* only root may; the size limit above tests the same path */
    CHECK(fs_write(in_folder("a"), "old", 3, &err));
    check_full();
    CHECK(umount(folder) == 0);
#endif
}

static void reads_up_to_its_limit(void)
{
    char *text = NULL;
    size_t len = 0;
    struct error err;

    CHECK(fs_write(in_folder("a"), "12345", 5, &err));
    CHECK(fs_read(&text, &len, in_folder("a"), 5, &err) && len == 5);
    free(text);
    text = NULL;
    CHECK(!fs_read(&text, &len, in_folder("a"), 4, &err) && err.code == ERROR_LIMIT);
    CHECK(!fs_read(&text, &len, in_folder("b"), 4, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(!fs_read(&text, &len, folder, 4, &err) && err.code == ERROR_INVALID);
    CHECK(!fs_read(&text, &len, "/dev/zero", 100000, &err) && err.code == ERROR_LIMIT);
    CHECK(text == NULL);
    unlink(in_folder("a"));
}

static void joins_within_bounds(void)
{
    char out[8];
    struct error err;

    CHECK(fs_join(out, sizeof out, "a", "b", &err) && strcmp(out, "a/b") == 0);
    CHECK(fs_join(out, sizeof out, "a/", "b", &err) && strcmp(out, "a/b") == 0);
    CHECK(fs_join(out, sizeof out, "", "b", &err) && strcmp(out, "b") == 0);
    CHECK(fs_join(out, sizeof out, "a", "/b", &err) && strcmp(out, "/b") == 0);
    CHECK(fs_join(out, sizeof out, "abc", "def", &err) && strcmp(out, "abc/def") == 0);
    CHECK(!fs_join(out, sizeof out, "abcd", "def", &err) && err.code == ERROR_INVALID);
}

static void makes_folders_down_to_the_last(void)
{
    struct error err;
    struct stat st;

    CHECK(fs_make_folders(in_folder("x//y/z/"), &err));
    CHECK(fs_make_folders(in_folder("x/y/z"), &err));
    CHECK(stat(in_folder("x/y/z"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK(fs_write(in_folder("x/y/z/f"), "", 0, &err));
    CHECK(!fs_make_folders(in_folder("x/y/z/f/g"), &err));
    CHECK(!fs_make_folders("", &err));
    unlink(in_folder("x/y/z/f"));
    rmdir(in_folder("x/y/z"));
    rmdir(in_folder("x/y"));
    rmdir(in_folder("x"));
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/fs_test_XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    writes_and_replaces_a_file();
    refuses_places_that_are_not_files();
    leaves_no_half_file_at_a_size_limit();
    leaves_no_half_file_on_a_full_disk();
    reads_up_to_its_limit();
    joins_within_bounds();
    makes_folders_down_to_the_last();
    CHECK(rmdir(folder) == 0);
    return TEST_END();
}
