#include "api/api_metrics.h"

#include "base/clock.h"
#include "jobs/job_queue.h"
#include "memory/process_memory.h"
#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOUNDS = 9, CLASSES = 6 }; /* status / 100 is the class; 0: no status */

/* Upper bounds of the histogram, seconds: quick answers, and those that wait for a picture. */
static const double bounds[BOUNDS] = {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300};

static const char *const family_names[API_N_FAMILIES + 1] = {"native", "sdapi", "openai", "page",
                                                             "none"};

struct family_counts {
    _Atomic uint64_t by_class[CLASSES];
    _Atomic uint64_t by_bound[BOUNDS + 1];
    _Atomic uint64_t micros; /* sum of all durations */
    _Atomic uint64_t bytes;
};

struct api_metrics {
    struct family_counts family[API_N_FAMILIES + 1];
};

bool api_metrics_open(struct api_metrics **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    return *out || error_set(err, ERROR_MEMORY, "no memory for counters");
}

void api_metrics_close(struct api_metrics *m)
{
    free(m);
}

void api_metrics_count(struct api_metrics *m, enum api_family family, int status, double seconds,
                       uint64_t bytes)
{
    struct family_counts *f = &m->family[family];
    int kind = status >= 100 && status < 600 ? status / 100 : 0, bound = 0;

    while (bound < BOUNDS && seconds > bounds[bound])
        bound++;
    atomic_fetch_add_explicit(&f->by_class[kind], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->by_bound[bound], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->micros, seconds > 0 ? (uint64_t)(seconds * 1e6) : 0,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&f->bytes, bytes, memory_order_relaxed);
}

static void add(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add(struct buf *out, const char *fmt, ...)
{
    char line[400];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n > 0)
        buf_add(out, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void add_head(struct buf *out, const char *name, const char *type, const char *help)
{
    add(out, "# HELP diffusionapi_%s %s\n# TYPE diffusionapi_%s %s\n", name, help, name, type);
}

static void add_gauge(struct buf *out, const char *name, const char *help, double value)
{
    add_head(out, name, "gauge", help);
    add(out, "diffusionapi_%s %.15g\n", name, value);
}

static void add_requests(struct buf *out, const struct api_metrics *m)
{
    add_head(out, "requests_total", "counter",
             "Requests by family of the API and class of status.");
    for (int f = 0; f <= API_N_FAMILIES; f++)
        for (int c = 1; c < CLASSES; c++)
            add(out, "diffusionapi_requests_total{family=\"%s\",class=\"%dxx\"} %" PRIu64 "\n",
                family_names[f], c, atomic_load(&m->family[f].by_class[c]));
    add_head(out, "request_seconds", "histogram", "From a request's first line to its answer.");
    for (int f = 0; f <= API_N_FAMILIES; f++) {
        uint64_t sum = 0;
        for (int b = 0; b < BOUNDS; b++) {
            sum += atomic_load(&m->family[f].by_bound[b]);
            add(out, "diffusionapi_request_seconds_bucket{family=\"%s\",le=\"%g\"} %" PRIu64 "\n",
                family_names[f], bounds[b], sum);
        }
        sum += atomic_load(&m->family[f].by_bound[BOUNDS]);
        add(out,
            "diffusionapi_request_seconds_bucket{family=\"%s\",le=\"+Inf\"} %" PRIu64
            "\ndiffusionapi_request_seconds_sum{family=\"%s\"} %.6f\n"
            "diffusionapi_request_seconds_count{family=\"%s\"} %" PRIu64 "\n",
            family_names[f], sum, family_names[f], (double)atomic_load(&m->family[f].micros) / 1e6,
            family_names[f], sum);
    }
    add_head(out, "response_bytes_total", "counter", "Bytes of bodies that were answered.");
    for (int f = 0; f <= API_N_FAMILIES; f++)
        add(out, "diffusionapi_response_bytes_total{family=\"%s\"} %" PRIu64 "\n", family_names[f],
            atomic_load(&m->family[f].bytes));
}

static void add_jobs(struct buf *out, struct job_queue *queue)
{
    struct job_queue_counts counts = job_queue_counts(queue);

    add_head(out, "jobs", "gauge", "Jobs in the data folder by state.");
    for (int s = 0; s < JOB_N_STATES; s++)
        add(out, "diffusionapi_jobs{state=\"%s\"} %" PRId64 "\n", job_state_name((enum job_state)s),
            counts.n[s]);
    add_gauge(out, "jobs_final_bytes", "Bytes of finished jobs' files.",
              (double)counts.final_bytes);
}

void api_metrics_write(struct buf *out, const struct api *api)
{
    struct supervisor_status worker;
    struct process_memory own = {0};
    struct error ignored;

    add_requests(out, api->metrics);
    add_jobs(out, api->queue);
    supervisor_status(api->supervisor, &worker);
    add_gauge(out, "worker_up", "The worker is ready for a job or works on one.",
              worker.worker_up ? 1 : 0);
    add_head(out, "worker_restarts_total", "counter", "Times the worker was started again.");
    add(out, "diffusionapi_worker_restarts_total %d\n", worker.restarts);
    add_gauge(out, "worker_resident_bytes", "Memory of the worker.", (double)worker.resident_bytes);
    add_gauge(out, "reserved_bytes", "Memory set aside for the running job.",
              (double)worker.reserved_bytes);
    add_gauge(out, "job_progress", "Of the running job, 0 to 1.", worker.progress);
    if (process_memory_read(&own, &ignored))
        add_gauge(out, "server_resident_bytes", "Memory of the server's own process.",
                  (double)own.resident_bytes);
    add_gauge(out, "uptime_seconds", "Since the server started.", clock_seconds() - api->started);
}
