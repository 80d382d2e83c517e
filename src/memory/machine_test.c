#include "base/test.h"
#include "memory/machine.h"

#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)

static void is_described_in_words(void)
{
    static const struct {
        const char *why;
        struct machine_words words;
        struct machine want; /* no bytes: refused */
    } row[] = {
        {"nothing said", {0}, {MACHINE_CPU, 16 * GIB, 8 * GIB, MACHINE_WARNING}},
        {"everything said",
         {true, MACHINE_MPS, true, true, 64 * GIB, 40 * GIB},
         {MACHINE_MPS, 64 * GIB, 40 * GIB, MACHINE_NORMAL}},
        {"device alone",
         {.has_device = true, .device = MACHINE_CUDA},
         {MACHINE_CUDA, 16 * GIB, 8 * GIB, MACHINE_WARNING}},
        {"less in total than is available",
         {.has_total = true, .total_bytes = 4 * GIB},
         {MACHINE_CPU, 4 * GIB, 4 * GIB, MACHINE_NORMAL}},
        {"little available",
         {.has_available = true, .available_bytes = GIB},
         {MACHINE_CPU, 16 * GIB, GIB, MACHINE_WARNING}},
        {"nothing available",
         {.has_available = true},
         {MACHINE_CPU, 16 * GIB, 0, MACHINE_CRITICAL}},
        {"more available than there is", {.has_available = true, .available_bytes = 17 * GIB}, {0}},
    };
    const struct machine found = {MACHINE_CPU, 16 * GIB, 8 * GIB, MACHINE_WARNING};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct machine m = {0};
        struct error err = {0};
        bool ok = machine_describe(&m, &row[i].words, &found, &err);
        bool same = m.device == row[i].want.device && m.total_bytes == row[i].want.total_bytes &&
                    m.available_bytes == row[i].want.available_bytes &&
                    m.pressure == row[i].want.pressure;
        if (!same)
            fprintf(stderr, "row: %s\n", row[i].why);
        CHECK(same);
        CHECK(ok == (row[i].want.total_bytes > 0));
        CHECK(ok || err.code == ERROR_INVALID);
    }

    struct machine m;
    struct error err = {0};
    CHECK(machine_describe(&m, &row[1].words, NULL, &err));
    CHECK(machine_is_found(&row[0].words) && !machine_is_found(&row[1].words));
}

static void finds_devices_by_name(void)
{
    enum machine_device d = MACHINE_CPU;
    CHECK(machine_find_device(&d, "mps") && d == MACHINE_MPS);
    CHECK(machine_find_device(&d, "cuda") && d == MACHINE_CUDA);
    CHECK(!machine_find_device(&d, "tpu") && d == MACHINE_CUDA);
}

static void sees_this_machine(void)
{
    struct machine m;
    struct error err;
    struct machine_source here = machine_this_system();

    CHECK(machine_detect(&m, &here, &err));
    CHECK(m.total_bytes > 64 * MIB && m.available_bytes > 0);
    CHECK(m.available_bytes <= m.total_bytes);
    fprintf(stderr, "%s: %llu MiB, %llu MiB available, pressure %s\n",
            machine_device_name(m.device), (unsigned long long)(m.total_bytes / MIB),
            (unsigned long long)(m.available_bytes / MIB), machine_pressure_name(m.pressure));
}

int main(void)
{
    is_described_in_words();
    finds_devices_by_name();
    sees_this_machine();
    return TEST_END();
}
