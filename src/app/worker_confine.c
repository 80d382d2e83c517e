#include "app/worker_confine.h"

#include "app/worker_landlock.h"
#include "app/worker_seccomp.h"
#include "image/image_format.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { MOST_DESCRIPTORS = 4096 };

/* The worker holds the big numbers, and it can be started again: the server cannot. */
static void volunteer(void)
{
#ifdef __linux__
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "500", 3) != 3)
            fprintf(stderr, "oom_score_adj cannot be set\n");
        close(fd);
    }
#endif
}

void worker_confine_early(int keep_fd)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct rlimit descriptors = {.rlim_cur = MOST_DESCRIPTORS};

#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_IGN); /* the server says when to stop */
    if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0 || descriptors.rlim_cur > MOST_DESCRIPTORS)
        descriptors.rlim_cur = MOST_DESCRIPTORS;
    for (int fd = 3; fd < (int)descriptors.rlim_cur; fd++)
        if (fd != keep_fd)
            close(fd);
    volunteer();
}

static bool limit(int what, rlim_t most)
{
    struct rlimit l;

    if (getrlimit(what, &l) != 0)
        return false;
    if (l.rlim_max == RLIM_INFINITY || l.rlim_max > most)
        l.rlim_max = most;
    if (l.rlim_cur == RLIM_INFINITY || l.rlim_cur > l.rlim_max)
        l.rlim_cur = l.rlim_max;
    return setrlimit(what, &l) == 0;
}

static void add(char out[WORKER_CONFINE_TEXT_BYTES], const char *what)
{
    const size_t have = strlen(out);
    snprintf(out + have, WORKER_CONFINE_TEXT_BYTES - have, "%s%s", have ? ", " : "", what);
}

void worker_confine(const struct settings *s, bool may_write, char out[WORKER_CONFINE_TEXT_BYTES])
{
    out[0] = 0;
    /* A core file would hold prompts and pictures. */
    if (limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, IMAGE_FORMAT_MAX_FILE_BYTES))
        add(out, "rlimits");
    if (worker_landlock(s, may_write))
        add(out, "landlock");
    if (worker_seccomp())
        add(out, "seccomp");
    if (!out[0])
        add(out, "nothing");
}
