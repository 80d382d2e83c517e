#include "memory/machine.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

/* Share of memory that is left, in per cent. */
enum { WARNING_LEFT = 10, CRITICAL_LEFT = 4 };

static bool detect_here(void *ctx, struct machine *out, struct error *err)
{
    (void)ctx;
#ifdef __APPLE__
    return machine_macos_detect(out, err);
#else
    return machine_linux_detect(out, "", err);
#endif
}

struct machine_source machine_this_system(void)
{
    return (struct machine_source){.detect = detect_here, .ctx = NULL};
}

bool machine_detect(struct machine *out, const struct machine_source *source, struct error *err)
{
    return source->detect(source->ctx, out, err);
}

enum machine_pressure machine_pressure_of_share(const struct machine *m)
{
    uint64_t left = m->total_bytes ? m->available_bytes / (m->total_bytes / 100 + 1) : 0;
    return left < CRITICAL_LEFT  ? MACHINE_CRITICAL
           : left < WARNING_LEFT ? MACHINE_WARNING
                                 : MACHINE_NORMAL;
}

bool machine_is_found(const struct machine_words *words)
{
    return !words->has_device && !words->has_total && !words->has_available;
}

bool machine_describe(struct machine *out, const struct machine_words *words,
                      const struct machine *found, struct error *err)
{
    ASSERT(found || (words->has_device && words->has_total && words->has_available));
    struct machine m = found ? *found : (struct machine){.device = MACHINE_CPU};

    if (words->has_device)
        m.device = words->device;
    if (words->has_total)
        m.total_bytes = words->total_bytes;
    if (words->has_available)
        m.available_bytes = words->available_bytes;
    else if (m.available_bytes > m.total_bytes)
        m.available_bytes = m.total_bytes;
    if (m.available_bytes > m.total_bytes)
        return error_set(err, ERROR_INVALID,
                         "%" PRIu64 " bytes available of %" PRIu64
                         " in total: what is available is at most the total",
                         m.available_bytes, m.total_bytes);
    if (words->has_total || words->has_available)
        m.pressure = machine_pressure_of_share(&m);
    *out = m;
    return true;
}

const char *machine_device_name(enum machine_device device)
{
    static const char *const name[MACHINE_DEVICE_COUNT] = {"cpu", "cuda", "mps"};
    ASSERT(device < MACHINE_DEVICE_COUNT);
    return name[device];
}

const char *machine_pressure_name(enum machine_pressure pressure)
{
    static const char *const name[MACHINE_PRESSURE_COUNT] = {"normal", "warning", "critical"};
    ASSERT(pressure < MACHINE_PRESSURE_COUNT);
    return name[pressure];
}

bool machine_find_device(enum machine_device *out, const char *name)
{
    for (enum machine_device d = MACHINE_CPU; d < MACHINE_DEVICE_COUNT; d++)
        if (strcmp(machine_device_name(d), name) == 0) {
            *out = d;
            return true;
        }
    return false;
}
