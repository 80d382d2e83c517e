#include "memory/machine.h"

#include "base/assert.h"

#include <stddef.h>

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
