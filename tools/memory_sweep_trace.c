#include "base/clock.h"
#include "base/thread.h"
#include "memory_sweep.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

enum { EVERY_NS = 2000000 };

/* 0 where the system does not tell. */
static uintmax_t resident_bytes(void)
{
    char line[200];
    char *end;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    const bool ok = fgets(line, sizeof line, f);
    fclose(f);
    if (!ok)
        return 0;
    strtoumax(line, &end, 10); /* proc(5): size, then resident, in pages */
    return strtoumax(end, NULL, 10) * (uintmax_t)sysconf(_SC_PAGESIZE);
}

static void *sample(void *arg)
{
    struct memory_sweep_trace *t = arg;
    const struct timespec pause = {0, EVERY_NS};

    while (!t->stop) {
        int phase = t->phase;
        fprintf(t->to, "%.4f,%" PRIuMAX ",%s,%zu\n", clock_seconds() - t->started, resident_bytes(),
                phase < 0 ? "none" : gen_plan_phase_name((enum plan_phase)phase),
                phase < 0 ? 0 : gen_plan_phase_bytes(t->plan, (enum plan_phase)phase));
        nanosleep(&pause, NULL);
    }
    return NULL;
}

bool memory_sweep_trace_start(struct memory_sweep_trace *t, const char *path,
                              const struct gen_plan *plan, struct error *err)
{
    t->plan = plan;
    t->started = clock_seconds();
    t->phase = -1;
    t->stop = false;
    t->to = fopen(path, "we");
    if (!t->to)
        return error_set(err, ERROR_IO, "cannot write %s", path);
    fprintf(t->to, "seconds,resident_bytes,phase,planned_bytes\n");
    if (thread_start(&t->thread, sample, t, 0, err))
        return true;
    fclose(t->to);
    return false;
}

bool memory_sweep_trace_stop(struct memory_sweep_trace *t, struct error *err)
{
    const struct timespec tail = {0, 50 * EVERY_NS};

    t->phase = -1;
    nanosleep(&tail, NULL); /* what is left afterwards belongs into the picture */
    t->stop = true;
    pthread_join(t->thread, NULL);
    return fclose(t->to) == 0 || error_set(err, ERROR_IO, "the trace could not be written");
}
