#include "base/json.h"
#include "memory_sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_BYTES = 8192 };

/* In the new process, between fork and exec. */
static void become_child(const struct sweep_model *model, const char *row, bool plan_only,
                         const char *cgroup, int out)
{
    char threads[20];

    snprintf(threads, sizeof threads, "%d", model->threads);
    const char *argv[] = {"memory-sweep", "--model", model->path, "--threads",
                          threads,        "--row",   row,         NULL,
                          NULL,           NULL,      NULL};
    size_t n = 7;
    if (plan_only)
        argv[n++] = "--plan-only";
    if (model->tokenizer_dir) {
        argv[n++] = "--tokenizer";
        argv[n++] = model->tokenizer_dir;
    }
    if ((!cgroup || memory_sweep_cgroup_enter(cgroup)) && dup2(out, STDOUT_FILENO) >= 0) {
        union {
            const char *const *in;
            char *const *out;
        } args = {.in = argv}; /* execv changes no argument, but says it might */
        execv("/proc/self/exe", args.out);
    }
    _exit(127);
}

static bool read_answer(char answer[ANSWER_BYTES], int fd)
{
    size_t n = 0;

    while (n < ANSWER_BYTES - 1) {
        ssize_t got = read(fd, answer + n, ANSWER_BYTES - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    answer[n] = 0;
    return n > 0;
}

static size_t bytes_of(const struct json *j, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(j->root, key));
    return n > 0 ? (size_t)n : 0;
}

static bool parse_answer(struct sweep_outcome *out, const char *answer, struct error *err)
{
    struct json j;
    const char *status, *levers, *text;

    if (!json_read_bytes(&j, "the row's answer", answer, strlen(answer), ANSWER_BYTES, err))
        return false;
    bool ok = json_want_string(&j, "status", &status, err) &&
              json_want_string(&j, "levers", &levers, err) &&
              json_want_string(&j, "text", &text, err);
    if (ok) {
        out->status = strcmp(status, "done") == 0      ? SWEEP_DONE
                      : strcmp(status, "planned") == 0 ? SWEEP_PLANNED
                                                       : SWEEP_REFUSED;
        snprintf(out->levers, sizeof out->levers, "%s", levers);
        snprintf(out->text, sizeof out->text, "%s", text);
        out->planned_bytes = bytes_of(&j, "planned");
        out->measured_bytes = bytes_of(&j, "measured");
        out->grown_bytes = bytes_of(&j, "grown");
        out->seconds = json_number_value(json_object_get(j.root, "seconds"));
    }
    json_clear(&j);
    return ok;
}

static void judge_end(struct sweep_outcome *out, int status, const char *answer)
{
    struct error err = {0};

    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (out->signal)
        snprintf(out->text, sizeof out->text, "killed by signal %d", out->signal);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        snprintf(out->text, sizeof out->text, "ended with status %d: see the lines above",
                 WEXITSTATUS(status));
    else if (!parse_answer(out, answer, &err))
        snprintf(out->text, sizeof out->text, "%.390s", err.text);
}

bool memory_sweep_spawn_run(struct sweep_outcome *out, const struct sweep_model *model,
                            const struct sweep_row *row, bool plan_only, size_t limit_bytes,
                            struct error *err)
{
    char text[MEMORY_SWEEP_ROW_BYTES], answer[ANSWER_BYTES], cgroup[400];
    int ends[2], status = 0;

    *out = (struct sweep_outcome){.status = SWEEP_FAILED};
    memory_sweep_row_write(text, row);
    if (limit_bytes && !memory_sweep_cgroup_make(cgroup, limit_bytes, err))
        return false;
    if (pipe(ends) != 0)
        return error_set_errno(err, errno, "pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_child(model, text, plan_only, limit_bytes ? cgroup : NULL, ends[1]);
    }
    close(ends[1]);
    if (pid > 0) {
        (void)read_answer(answer, ends[0]);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        judge_end(out, status, answer);
    }
    close(ends[0]);
    if (limit_bytes)
        memory_sweep_cgroup_remove(cgroup);
    return pid > 0 || error_set(err, ERROR_IO, "no new process could be started");
}
