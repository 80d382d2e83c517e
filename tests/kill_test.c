/* Kills workers and servers at random moments under load, and counts: every accepted job ends done
 * or in an error, none runs more than twice, no file is without a row and no row without its files.
 *
 *     kill_test PROGRAM [KILLS [SEED]]
 *
 * The server is this program itself in a child process: queue and supervisor without HTTP.  It
 * tells its parent what it has accepted and which worker runs; the parent kills one or the other.
 */
#include "base/parse.h"
#include "tests/worker_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_JOBS = 4000, WAITING = 6 };

static const char *program;
static char folder[] = "/tmp/kill_test.XXXXXX";

/* The child. */

static void tell(const char *what, const char *value)
{
    char line[80];
    const int n = snprintf(line, sizeof line, "%s %s\n", what, value);
    if (write(1, line, (size_t)n) != n)
        _exit(0);
}

/* Accepts jobs until there is something to read, then waits for all of them. */
static int serve(void)
{
    static struct worker_server v;
    struct pollfd end = {.fd = 0, .events = POLLIN};
    char told[16] = "";

    worker_server_open(&v, program, folder, 30);
    for (;;) {
        const struct job_queue_counts counts = job_queue_counts(v.queue);
        struct supervisor_status t;
        char id[JOB_ID_BYTES], pid[16];
        const bool last = poll(&end, 1, 0) > 0;

        if (!last && counts.n[JOB_QUEUED] < WAITING &&
            worker_server_submit(&v, id, ",\"width\":128,\"height\":64,\"steps\":6", NULL, 0))
            tell("accepted", id);
        if (last && counts.n[JOB_QUEUED] + counts.n[JOB_LOADING] + counts.n[JOB_PROCESSING] == 0)
            break;
        supervisor_status(v.supervisor, &t);
        snprintf(pid, sizeof pid, "%d", t.worker_pid);
        if (strcmp(pid, told) != 0)
            tell("worker", pid);
        memcpy(told, pid, sizeof told);
        worker_server_pause(0.005);
    }
    worker_server_close(&v, 10);
    return 0;
}

/* The parent. */

struct child {
    pid_t pid, worker;
    int from, to;
    char line[80];
    size_t len;
};

static char accepted[MAX_JOBS][JOB_ID_BYTES];
static int n_accepted, failures;

static void fail(const char *what, const char *id)
{
    fprintf(stderr, "%s %s\n", what, id);
    failures++;
}

static void start(struct child *c)
{
    int out[2], in[2];

    if (pipe(out) != 0 || pipe(in) != 0)
        exit(1);
    *c = (struct child){.pid = fork(), .from = out[0], .to = in[1]};
    if (c->pid < 0)
        exit(1);
    if (c->pid == 0) {
        dup2(out[1], 1);
        dup2(in[0], 0);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        _exit(serve());
    }
    close(out[1]);
    close(in[0]);
}

static void take_line(struct child *c)
{
    int64_t pid;
    struct error err;

    c->line[c->len] = 0;
    if (strncmp(c->line, "accepted ", 9) == 0 && job_id_is_valid(c->line + 9) &&
        n_accepted < MAX_JOBS)
        memcpy(accepted[n_accepted++], c->line + 9, JOB_ID_BYTES);
    if (strncmp(c->line, "worker ", 7) == 0 && parse_int64(&pid, c->line + 7, 0, INT32_MAX, &err))
        c->worker = (pid_t)pid;
    c->len = 0;
}

/* Hears the child for so long; false once it says nothing more. */
static bool listen_for(struct child *c, double seconds)
{
    const double deadline = clock_seconds() + seconds;

    for (double left = seconds; left > 0; left = deadline - clock_seconds()) {
        struct pollfd p = {.fd = c->from, .events = POLLIN};
        char bytes[256];
        if (poll(&p, 1, (int)(left * 1000) + 1) <= 0)
            continue;
        const ssize_t n = read(c->from, bytes, sizeof bytes);
        if (n <= 0)
            return false;
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] == '\n')
                take_line(c);
            else if (c->len + 1 < sizeof c->line)
                c->line[c->len++] = bytes[i];
        }
    }
    return true;
}

static void end(struct child *c)
{
    waitpid(c->pid, NULL, 0);
    close(c->from);
    close(c->to);
}

static void kill_server(struct child *c)
{
    kill(c->pid, SIGKILL);
    while (listen_for(c, 1)) /* what it had said before */
        ;
    end(c);
    start(c);
}

static void check_job(struct job_queue *q, const char *id, int n[JOB_N_STATES])
{
    struct job j = {0};
    int64_t bytes;
    struct error err = {0};

    if (!job_queue_get(q, &j, id, &err)) {
        fail("lost:", id);
        return;
    }
    n[j.state]++;
    if (j.state != JOB_DONE && j.state != JOB_ERROR)
        fail("has not ended:", id);
    if (j.attempts > 2)
        fail("ran more than twice:", id);
    if (j.state == JOB_DONE &&
        (!j.outputs || !job_files_measure(job_queue_files(q), id, j.outputs, &bytes, &err)))
        fail("a row without its files:", id);
    job_clear(&j);
}

/* Every file in outputs/ is named by its job. */
static void check_files(struct job_queue *q)
{
    char path[JOB_FILES_PATH_BYTES], id[JOB_ID_BYTES];
    struct error err = {0};
    struct dirent *entry;
    DIR *dir = job_files_outputs(job_queue_files(q), path, &err) ? opendir(path) : NULL;

    while (dir && (entry = readdir(dir)) != NULL) {
        struct job j = {0};
        if (entry->d_name[0] == '.' && strlen(entry->d_name) < 3)
            continue;
        snprintf(id, sizeof id, "%.36s", entry->d_name);
        if (!job_queue_get(q, &j, id, &err) || !j.outputs || !strstr(j.outputs, entry->d_name))
            fail("a file without a row:", entry->d_name);
        job_clear(&j);
    }
    if (dir)
        closedir(dir);
}

static void check_all(void)
{
    struct job_queue *q = NULL;
    struct error err = {0};
    int n[JOB_N_STATES] = {0};
    const struct job_queue_settings s = {.folder = folder, .max_queued = 10, .max_attempts = 2};

    if (!job_queue_open(&q, &s, &err) || !job_queue_check(q, &err)) {
        fail("the store is damaged:", err.text);
        return;
    }
    for (int i = 0; i < n_accepted; i++)
        check_job(q, accepted[i], n);
    check_files(q);
    printf("%d jobs: %d done, %d in an error\n", n_accepted, n[JOB_DONE], n[JOB_ERROR]);
    job_queue_close(q);
}

static double random_part(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 33) / (double)(1u << 31);
}

int main(int argc, char **argv)
{
    int64_t kills = 6, seed = 1;
    struct error err = {0};
    struct child c;
    char command[64];

    if (argc < 2 || !mkdtemp(folder) ||
        (argc > 2 && !parse_int64(&kills, argv[2], 1, 1000, &err)) ||
        (argc > 3 && !parse_int64(&seed, argv[3], 0, INT32_MAX, &err))) {
        fprintf(stderr, "kill_test PROGRAM [KILLS [SEED]] %s\n", err.text);
        return 1;
    }
    program = argv[1];
    signal(SIGPIPE, SIG_IGN);
    uint64_t state = (uint64_t)seed;
    int workers = 0, servers = 0;
    start(&c);
    for (int i = 0; i < kills; i++) {
        listen_for(&c, 0.05 + 0.8 * random_part(&state));
        if (random_part(&state) < 0.4) {
            kill_server(&c);
            servers++;
        } else if (c.worker > 0 && kill(c.worker, SIGKILL) == 0) {
            workers++;
        }
    }
    printf("killed %d workers and %d servers\n", workers, servers);
    if (write(c.to, "x", 1) != 1)
        fail("the server is gone", "");
    while (listen_for(&c, 10))
        ;
    end(&c);
    check_all();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (n_accepted == 0 || system(command) != 0)
        fail("nothing was tested", "");
    return failures != 0;
}
