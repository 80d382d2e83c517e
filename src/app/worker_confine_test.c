/* The worker's and the planner's prison, tried from inside: a process locks itself in and does what
 * it may not. */
#define _GNU_SOURCE /* syscall */

#include "app/worker_confine.h"
#include "base/fs.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

enum { PATH_BYTES = 512, STRAY = 50 };

static char root[] = "/tmp/worker_confine_test.XXXXXX";

static const char *at(const char *name)
{
    static char path[4][PATH_BYTES];
    static int next;

    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

static bool opens(const char *name, int flags)
{
    const int fd = open(at(name), flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The system said no, rather than that there is nothing. */
static bool is_refused(bool done)
{
    return !done && (errno == EACCES || errno == EPERM);
}

static void try_files(bool may_write)
{
    CHECK(opens("models/a.safetensors", O_RDONLY));
    CHECK(opens("models/link", O_RDONLY)); /* leads to elsewhere/linked, as its owner wants */
    CHECK(opens("loras/b.safetensors", O_RDONLY));
    CHECK(opens("data/inputs/c.png", O_RDONLY));
    CHECK(is_refused(opens("elsewhere/secret", O_RDONLY)));
    CHECK(is_refused(opens("data/jobs.sqlite3", O_RDONLY)));
    CHECK(is_refused(opens("data/signing.key", O_RDONLY)));
    CHECK(is_refused(opens("models/../elsewhere/secret", O_RDONLY)));

    CHECK(is_refused(opens("models/a.safetensors", O_RDWR)));
    CHECK(is_refused(opens("models/new", O_WRONLY | O_CREAT)));
    CHECK(is_refused(opens("data/inputs/new", O_WRONLY | O_CREAT)));
    CHECK(is_refused(unlink(at("models/a.safetensors")) == 0));
    CHECK(is_refused(mkdir(at("data/outputs/folder"), 0700) == 0));
    CHECK(is_refused(symlink("/etc/passwd", at("data/outputs/link")) == 0));
    if (!may_write) {
        CHECK(is_refused(opens("data/outputs/d.png", O_WRONLY | O_CREAT)));
        return;
    }
    CHECK(opens("data/outputs/d.png", O_WRONLY | O_CREAT) && opens("data/outputs/d.png", O_RDONLY));
    CHECK(rename(at("data/outputs/d.png"), at("data/outputs/e.png")) == 0);
    CHECK(unlink(at("data/outputs/e.png")) == 0);
}

static void try_calls(void)
{
    static char *const arguments[] = {"true", NULL};
    static char *const environment[] = {NULL};
    int pair[2];

    CHECK(is_refused(socket(AF_INET, SOCK_STREAM, 0) >= 0));
    CHECK(is_refused(socket(AF_INET6, SOCK_DGRAM, 0) >= 0));
    CHECK(is_refused(socket(AF_UNIX, SOCK_STREAM, 0) >= 0));
    CHECK(is_refused(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0));
    CHECK(is_refused(execve("/bin/true", arguments, environment) == 0));
#ifdef __linux__
    char ring[256] = {0}; /* a way to sockets that no call is seen of */
    CHECK(is_refused(syscall(SYS_io_uring_setup, 1, ring) >= 0));
    CHECK(is_refused(syscall(SYS_ptrace, 16, getppid(), 0, 0) == 0));
    CHECK(is_refused(syscall(SYS_pidfd_getfd, 0, 0, 0) >= 0));
#endif
}

/* In the process that is locked in; `channel` is what it may keep. */
static int live_inside(const struct settings *s, bool may_write, int channel)
{
    char got[WORKER_CONFINE_TEXT_BYTES];
    struct rlimit core = {0};

    worker_confine_early(channel);
    CHECK(fcntl(STRAY, F_GETFD) < 0 && errno == EBADF);
    worker_confine(s, may_write, got);
    CHECK(strstr(got, "rlimits") != NULL);
    CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
    if (strstr(got, "landlock"))
        try_files(may_write);
    else
        fprintf(stderr, "skipped: this system has no Landlock, files are not checked\n");
    if (strstr(got, "seccomp"))
        try_calls();
    else
        fprintf(stderr, "skipped: this system has no seccomp, calls are not checked\n");
    CHECK(write(channel, "alive", 5) == 5);
    return TEST_END();
}

static void locks_in(const struct settings *s, bool may_write)
{
    char word[8] = "";
    int channel[2], status = -1;

    const bool piped = pipe(channel) == 0 && dup2(channel[0], STRAY) == STRAY;
    CHECK(piped);
    if (!piped)
        return;
    const pid_t child = fork();
    if (child == 0)
        _exit(live_inside(s, may_write, channel[1]));
    close(STRAY);
    close(channel[1]);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(read(channel[0], word, sizeof word) == 5 && memcmp(word, "alive", 5) == 0);
    close(channel[0]);
}

static void make_places(struct settings *s)
{
    static const char *const folder[] = {"models",      "loras",        "data",
                                         "data/inputs", "data/outputs", "elsewhere"};
    static const char *const file[] = {
        "models/a.safetensors", "loras/b.safetensors", "data/inputs/c.png", "data/jobs.sqlite3",
        "data/signing.key",     "elsewhere/secret",    "elsewhere/linked"};

    for (size_t i = 0; i < sizeof folder / sizeof folder[0]; i++)
        CHECK(mkdir(at(folder[i]), 0700) == 0);
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++)
        CHECK(opens(file[i], O_WRONLY | O_CREAT));
    CHECK(symlink(at("elsewhere/linked"), at("models/link")) == 0);
    snprintf(s->models_dir, sizeof s->models_dir, "%s", at("models"));
    snprintf(s->loras_dir, sizeof s->loras_dir, "%s", at("loras"));
    snprintf(s->data_dir, sizeof s->data_dir, "%s", at("data"));
}

int main(void)
{
    struct settings *s = calloc(1, sizeof *s);
    char command[80];

    CHECK(mkdtemp(root) != NULL && s);
    if (s) {
        make_places(s);
        locks_in(s, true);
        locks_in(s, false);
    }
    free(s);
    snprintf(command, sizeof command, "rm -r %s", root);
    CHECK(system(command) == 0);
    return TEST_END();
}
