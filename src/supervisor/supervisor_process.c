#include "supervisor/supervisor_process.h"

#include "base/clock.h"
#include "supervisor/supervisor_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

enum { TELL_MS = 5000, MAX_ARGUMENTS = 16, PATH_BYTES = 4096 };

extern char **environ;

/* The running program's file.  On Linux the link stays good when the file is replaced. */
static bool own_program(char out[PATH_BYTES])
{
#ifdef __APPLE__
    uint32_t size = PATH_BYTES;
    return _NSGetExecutablePath(out, &size) == 0;
#else
    snprintf(out, PATH_BYTES, "/proc/self/exe");
    return true;
#endif
}

/* How many processes the system has ended for lack of memory, ever; -1 where it does not count. */
static int64_t count_oom_kills(void)
{
    FILE *f = fopen("/proc/vmstat", "re");
    char line[256];
    int64_t n = -1;

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "oom_kill ", 9) == 0)
            n = strtoll(line + 9, NULL, 10);
    if (f)
        fclose(f);
    return n;
}

/* Default signals, none blocked, standard input empty, standard output to where the log goes. */
static int prepare(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr, int fd)
{
    sigset_t none, all;
    int e = 0;

    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    if ((e = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0)) != 0 ||
        (e = posix_spawn_file_actions_adddup2(files, 2, 1)) != 0 ||
        (e = posix_spawn_file_actions_adddup2(files, fd, SUPERVISOR_PROTOCOL_FD)) != 0 ||
        (e = posix_spawnattr_setsigmask(attr, &none)) != 0 ||
        (e = posix_spawnattr_setsigdefault(attr, &all)) != 0)
        return e;
    return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static bool spawn(pid_t *pid, const char *program, char *const *argv, int fd, struct error *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;

    int e = posix_spawn_file_actions_init(&files);
    if (e != 0)
        return error_set_errno(err, e, "cannot start a process");
    e = posix_spawnattr_init(&attr);
    if (e == 0) {
        e = prepare(&files, &attr, fd);
        if (e == 0)
            e = posix_spawn(pid, program, &files, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&files);
    return e == 0 || error_set_errno(err, e, program);
}

/* dup2 onto itself would leave the descriptor to be closed on exec. */
static bool move_away(int *fd, struct error *err)
{
    if (*fd != SUPERVISOR_PROTOCOL_FD)
        return true;
    const int other = fcntl(*fd, F_DUPFD_CLOEXEC, SUPERVISOR_PROTOCOL_FD + 1);
    if (other < 0)
        return error_set_errno(err, errno, "cannot set up a channel");
    close(*fd);
    *fd = other;
    return true;
}

bool supervisor_process_start(struct supervisor_process *p, const char *role, const char *program,
                              const char *const *arguments, struct error *err)
{
    char own[PATH_BYTES];
    const char *argv[MAX_ARGUMENTS + 3] = {"diffusionapi"};
    int n = 1, fds[2];

    *p = (struct supervisor_process){.role = role};
    if (!program && !own_program(own))
        return error_set(err, ERROR_IO, "cannot find this program's own file");
    for (; arguments && *arguments && n <= MAX_ARGUMENTS; arguments++)
        argv[n++] = *arguments;
    argv[n] = role;
    if (!channel_pair(fds, err))
        return false;
    p->oom_kills = count_oom_kills();
    bool ok = move_away(&fds[1], err);
    if (ok) {
        char *words[MAX_ARGUMENTS + 3];
        memcpy(words, argv, sizeof words);
        ok = spawn(&p->pid, program ? program : own, words, fds[1], err);
    }
    close(fds[1]);
    if (!ok) {
        close(fds[0]);
        *p = (struct supervisor_process){0};
        return false;
    }
    p->started = p->sign = clock_seconds();
    if (channel_open(&p->channel, fds[0], err))
        return true;
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    *p = (struct supervisor_process){0};
    return false;
}

void supervisor_process_kill(struct supervisor_process *p, const char *reason)
{
    if (p->pid == 0)
        return;
    if (!p->killed_for[0])
        snprintf(p->killed_for, sizeof p->killed_for, "%s", reason);
    kill(p->pid, SIGKILL);
}

bool supervisor_process_tell(struct supervisor_process *p, const json_t *doc)
{
    struct error err = {0};

    if (p->channel && doc && channel_write(p->channel, doc, TELL_MS, &err))
        return true;
    if (p->channel && err.code == ERROR_BUSY)
        supervisor_process_kill(p, "it did not read what it was told");
    return false;
}

/* Ended by a signal of somebody else's: perhaps the system's. */
static void tell_signal(const struct supervisor_process *p, int number,
                        char reason[SUPERVISOR_PROCESS_REASON_BYTES], bool *out_of_memory)
{
    const int64_t now = count_oom_kills();

    *out_of_memory = number == SIGKILL && p->oom_kills >= 0 && now > p->oom_kills;
    if (*out_of_memory)
        snprintf(reason, SUPERVISOR_PROCESS_REASON_BYTES,
                 "the system ran out of memory and ended the %s", p->role);
    else
        snprintf(reason, SUPERVISOR_PROCESS_REASON_BYTES, "the %s was ended by signal %d (%s)",
                 p->role, number, strsignal(number));
}

static void tell_end(const struct supervisor_process *p, int status,
                     char reason[SUPERVISOR_PROCESS_REASON_BYTES], bool *out_of_memory)
{
    *out_of_memory = false;
    if (p->killed_for[0])
        snprintf(reason, SUPERVISOR_PROCESS_REASON_BYTES, "the %s was ended: %.200s", p->role,
                 p->killed_for);
    else if (WIFSIGNALED(status))
        tell_signal(p, WTERMSIG(status), reason, out_of_memory);
    else
        snprintf(reason, SUPERVISOR_PROCESS_REASON_BYTES, "the %s ended with status %d", p->role,
                 WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

void supervisor_process_end(struct supervisor_process *p, double wait_seconds,
                            char reason[SUPERVISOR_PROCESS_REASON_BYTES], bool *out_of_memory)
{
    const double deadline = clock_seconds() + wait_seconds;
    int status = 0;
    pid_t got;

    reason[0] = 0;
    *out_of_memory = false;
    if (p->pid == 0)
        return;
    while ((got = waitpid(p->pid, &status, WNOHANG)) == 0 && clock_seconds() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    if (got == 0) {
        supervisor_process_kill(p, "it did not end by itself");
        do {
            got = waitpid(p->pid, &status, 0);
        } while (got < 0 && errno == EINTR);
    }
    tell_end(p, status, reason, out_of_memory);
    channel_close(p->channel);
    *p = (struct supervisor_process){0};
}
