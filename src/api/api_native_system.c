#include "api/api_native_system.h"

#include "api/api_metrics.h"
#include "base/clock.h"
#include "config/settings.h"
#include "jobs/job_queue.h"
#include "library/library.h"
#include "memory/process_memory.h"
#include "plan/plan_policy.h"
#include "supervisor/supervisor.h"

#include <math.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { METRICS_MAX_BYTES = 256 << 10, UNLOAD_TIMEOUT_MS = 10000 };

#define GIB ((double)(1 << 30))

bool api_native_system_hello(struct api_call *call, struct error *err)
{
    return api_reply_json(call, 200, json_pack("{s:b}", "ok", 1), err);
}

static double rounded(double x)
{
    return round(x * 100) / 100;
}

/* Shares and bytes of the file system that holds path. */
static bool look_at_disk(const char *path, double *used_percent, double *free_gib)
{
    struct statvfs fs;

    if (statvfs(path, &fs) != 0 || fs.f_blocks == 0)
        return false;
    double unit = (double)fs.f_frsize;
    *free_gib = (double)fs.f_bavail * unit / GIB;
    *used_percent = 100.0 * (double)(fs.f_blocks - fs.f_bfree) / (double)fs.f_blocks;
    return true;
}

static size_t count(struct api_call *call, enum library_kind kind)
{
    struct library_list list = {0};
    struct error ignored;
    size_t n = 0;

    if (library_list(call->api->library, kind, &list, &ignored))
        n = list.n;
    library_list_clear(&list);
    return n;
}

static json_t *system_json(double *memory_percent, double *disk_percent)
{
    struct machine_source source = machine_this_system();
    struct machine m = {0};
    struct error ignored;
    double free_gib = 0;

    *memory_percent = *disk_percent = 0;
    if (machine_detect(&m, &source, &ignored) && m.total_bytes > 0)
        *memory_percent =
            100.0 * (double)(m.total_bytes - m.available_bytes) / (double)m.total_bytes;
    look_at_disk("/", disk_percent, &free_gib);
    return json_pack("{s:i, s:f, s:f, s:f, s:f}", "cpu_count", (int)sysconf(_SC_NPROCESSORS_ONLN),
                     "memory_total_gb", rounded((double)m.total_bytes / GIB), "memory_available_gb",
                     rounded((double)m.available_bytes / GIB), "memory_percent",
                     rounded(*memory_percent), "disk_usage_percent", rounded(*disk_percent));
}

static json_t *worker_json(struct api_call *call)
{
    struct supervisor_status s;

    supervisor_status(call->api->supervisor, &s);
    return json_pack("{s:b, s:i, s:i, s:s, s:s, s:s}", "up", s.worker_up, "pid", s.worker_pid,
                     "restarts", s.restarts, "last_death", s.last_death, "model", s.model,
                     "confinement", s.confinement);
}

bool api_native_system_health(struct api_call *call, struct error *err)
{
    const struct settings *s = call->api->settings;
    struct job_queue_counts jobs = job_queue_counts(call->api->queue);
    double memory_percent, disk_percent, outputs_percent, free_gib = 0;
    bool has_outputs = look_at_disk(call->api->data_dir, &outputs_percent, &free_gib);
    json_t *warnings = json_array();
    json_t *system = system_json(&memory_percent, &disk_percent);
    size_t n_models = count(call, LIBRARY_MODEL);
    const struct {
        bool on;
        const char *text;
    } row[] = {{memory_percent > 90, "High memory usage"},
               {disk_percent > 90, "High disk usage"},
               {n_models == 0, "No models found"},
               {!has_outputs, "Outputs directory not accessible"},
               {has_outputs && free_gib < 1, "Low disk space for outputs"}};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (row[i].on)
            json_array_append_new(warnings, json_string(row[i].text));
    json_t *body = json_pack(
        "{s:s, s:f, s:s, s:o, s:{s:b, s:b, s:s}, s:{s:I, s:s}, s:{s:I, s:s}, s:{s:I, s:s}, "
        "s:{s:b, s:f, s:s}, s:o, s:f}",
        "status", json_array_size(warnings) ? "warning" : "healthy", "timestamp",
        (double)clock_unix_ms() / 1000, "version", "1.0.0", "system", system, "gpu",
        "cuda_available", 0, "mps_available", 0, "device_name", "CPU", "models", "count",
        (json_int_t)n_models, "directory", s->models_dir, "loras", "count",
        (json_int_t)count(call, LIBRARY_LORA), "directory", s->loras_dir, "queue", "active_jobs",
        (json_int_t)(jobs.n[JOB_QUEUED] + jobs.n[JOB_LOADING] + jobs.n[JOB_PROCESSING]),
        "directory", "queue", "outputs", "available", has_outputs, "free_space_gb",
        rounded(free_gib), "directory", "outputs", "worker", worker_json(call), "uptime_seconds",
        rounded(clock_seconds() - call->api->started));
    if (body) {
        json_object_set_new(body, "server_version", json_string(call->api->version));
        if (json_array_size(warnings))
            json_object_set(body, "warnings", warnings);
    }
    json_decref(warnings);
    return api_reply_json(call, 200, body, err);
}

bool api_native_system_metrics(struct api_call *call, struct error *err)
{
    struct buf out;
    (void)err;

    buf_init(&out, METRICS_MAX_BYTES);
    api_metrics_write(&out, call->api);
    http_reply_take(call->reply, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
    return true;
}

static json_t *bytes_json(uint64_t bytes)
{
    return json_integer((json_int_t)bytes);
}

static json_t *machine_json(const struct machine *m)
{
    return json_pack("{s:s, s:o, s:o, s:s}", "device", machine_device_name(m->device),
                     "total_bytes", bytes_json(m->total_bytes), "available_bytes",
                     bytes_json(m->available_bytes), "pressure",
                     machine_pressure_name(m->pressure));
}

static json_t *thresholds_json(const struct memory_policy *p)
{
    json_t *out = json_object();
    for (int i = 0; i < MEMORY_LEVELS; i++)
        json_object_set_new(out, levels_name((enum memory_level)i),
                            json_real(p->thresholds.gib[i]));
    return out;
}

/* What the worker holds and has set aside. */
static void set_worker(json_t *body, const struct supervisor_status *s)
{
    json_t *models = json_array(), *reservations = json_array();

    if (s->model[0])
        json_array_append_new(models, json_string(s->model));
    if (s->job[0])
        json_array_append_new(reservations, json_pack("{s:s, s:o}", "job_id", s->job, "bytes",
                                                      bytes_json(s->reserved_bytes)));
    json_object_set_new(body, "loaded_models", models);
    json_object_set_new(body, "reservations", reservations);
    json_object_set_new(body, "worker",
                        json_pack("{s:b, s:i, s:o, s:o}", "up", s->worker_up, "pid", s->worker_pid,
                                  "resident_bytes", bytes_json(s->resident_bytes), "reserved_bytes",
                                  bytes_json(s->reserved_bytes)));
}

bool api_native_system_memory(struct api_call *call, struct error *err)
{
    const struct settings *settings = call->api->settings;
    struct machine_source source = machine_this_system();
    struct memory_policy policy = plan_policy_of(settings);
    struct supervisor_status status;
    struct process_memory own = {0};
    struct machine m;
    struct error ignored;

    if (!plan_policy_machine(&m, settings, &source, err))
        return false;
    supervisor_status(call->api->supervisor, &status);
    (void)!process_memory_read(&own, &ignored);
    enum memory_level level = levels_of(m.available_bytes, &policy.thresholds);
    struct memory_size max = memory_policy_max_size(&policy, m.device, level);
    json_t *body = json_pack(
        "{s:s, s:o, s:s, s:o, s:o, s:o, s:{s:i, s:i}, s:s, s:o, s:{s:o}}", "status", "success",
        "machine", machine_json(&m), "level", levels_name(level), "budget_bytes",
        policy.budget_bytes ? bytes_json(policy.budget_bytes) : json_null(), "reserve_bytes",
        bytes_json(memory_policy_reserve_bytes(&policy, &m)), "usable_bytes",
        bytes_json(memory_policy_usable_bytes(&policy, &m)), "max_size", "width", max.width,
        "height", max.height, "size_policy", memory_policy_size_policy_name(policy.size_policy),
        "thresholds_gib", thresholds_json(&policy), "server", "resident_bytes",
        bytes_json(own.resident_bytes));
    if (body)
        set_worker(body, &status);
    return api_reply_json(call, 200, body, err);
}

bool api_native_system_unload(struct api_call *call, struct error *err)
{
    json_t *answer = NULL;

    if (supervisor_ask(call->api->supervisor, "unload", NULL, &answer,
                       &(struct supervisor_patience){.timeout_ms = UNLOAD_TIMEOUT_MS}, err))
        return api_reply_json(call, 200,
                              json_pack("{s:s, s:s, s:o}", "status", "success", "state", "unloaded",
                                        "memory", answer),
                              err);
    if (err->code != ERROR_BUSY)
        return false;
    /* A job runs; the worker has been told and does it at the job's end. */
    return api_reply_json(call, 202,
                          json_pack("{s:s, s:s}", "status", "success", "state", "unloading"), err);
}
