/* Detection, levels and the size rule. */
#include "app/cli_check_memory.h"
#include "memory/memory_policy.h"
#include "plan/plan_policy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double GIB = 1073741824.0;

/* The system's own figure, read another way; 0 where there is none. */
static double meminfo_available(void)
{
    static const char key[] = "MemAvailable:";
    double bytes = 0;
    char line[200];

    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, sizeof key - 1) == 0)
            bytes = 1024 * (double)strtoumax(line + sizeof key - 1, NULL, 10);
    if (f)
        fclose(f);
    return bytes;
}

/* Per cent of the last ten seconds that tasks waited for memory; -1 where the kernel does not tell.
 */
static double stalled(const char *kind)
{
    static const char key[] = "avg10=";
    double share = -1;
    char line[200];

    FILE *f = fopen("/proc/pressure/memory", "re");
    while (f && fgets(line, sizeof line, f)) {
        const char *at = strncmp(line, kind, strlen(kind)) == 0 ? strstr(line, key) : NULL;
        share = at ? strtod(at + sizeof key - 1, NULL) : share;
    }
    if (f)
        fclose(f);
    return share;
}

/* The figures change while they are read; lean is how far they may have been lower. */
static enum machine_pressure pressure_of(const struct machine *m, double some, double full,
                                         double lean)
{
    const double left = 100 * (double)m->available_bytes / (double)m->total_bytes;

    if (left + lean / 10 < 4 || full - lean >= 10)
        return MACHINE_CRITICAL;
    return left + lean / 10 < 10 || some - lean >= 10 ? MACHINE_WARNING : MACHINE_NORMAL;
}

static void check_pressure(struct cli_check *c, const struct machine *m)
{
    static const char report[] = "the file /proc/pressure/memory";
    const double some = stalled("some "), full = stalled("full ");
    const char *name = machine_pressure_name(m->pressure);

    if (some < 0)
        cli_check_memory_tell(c, m->pressure <= MACHINE_CRITICAL, report,
                              "memory pressure: %s; the system tells nothing to hold it against",
                              name);
    else
        cli_check_memory_tell(
            c,
            m->pressure >= pressure_of(m, some, full, 5) &&
                m->pressure <= pressure_of(m, some, full, -5),
            report, "memory pressure: %s; tasks wait for memory %.1f %% of the time, all %.1f %%",
            name, some, full > 0 ? full : 0);
}

static void check_detection(struct cli_check *c, const struct machine *m)
{
    static const char report[] = "the files /proc/meminfo, /proc/self/cgroup and the group's "
                                 "memory limits (on macOS: the output of vm_stat)";
    const double physical = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    const double total = (double)m->total_bytes, available = (double)m->available_bytes;
    const double system = meminfo_available();
    /* A control group may allow less than the machine has; nothing allows more. */
    const bool limited = total < 0.999 * physical;

    cli_check_memory_tell(c, total > 0 && total <= 1.001 * physical, report,
                          "total memory: %.1f MB found, the system has %.1f MB%s", total / 1e6,
                          physical / 1e6, limited ? "; a control group allows less" : "");
    cli_check_memory_tell(c, available > 0 && available <= total, report,
                          "available memory: %.1f MB, no more than the total", available / 1e6);
    if (system > 0)
        cli_check_memory_tell(
            c,
            available <= 1.05 * system + 64e6 &&
                (limited || available >= 0.95 * system - 64e6 || available < 0.95 * total),
            report, "available memory: %.1f MB found, the kernel says %.1f MB", available / 1e6,
            system / 1e6);
    check_pressure(c, m);
    cli_check_memory_tell(c, m->device == MACHINE_CPU, report, "device: %s",
                          machine_device_name(m->device));
}

static void check_levels(struct cli_check *c)
{
    static const struct {
        double gib;
        enum memory_level level;
    } row[] = {{7.99, MEMORY_VERY_LOW},  {8, MEMORY_LOW},   {15.99, MEMORY_LOW},
               {16, MEMORY_MEDIUM},      {24, MEMORY_HIGH}, {32, MEMORY_HIGH},
               {32.01, MEMORY_VERY_HIGH}};
    const struct levels_thresholds t = levels_default_thresholds();
    int right = 0, n = (int)(sizeof row / sizeof row[0]);

    for (int i = 0; i < n; i++)
        right += levels_of((uint64_t)(row[i].gib * GIB), &t) == row[i].level;
    cli_check_memory_tell(
        c, right == n, "the output of `diffusionapi settings`",
        "levels: %d of %d amounts of memory belong to the right one; this machine "
        "is %s",
        right, n, levels_name(levels_of(c->machine.available_bytes, &t)));
}

static void check_sizes(struct cli_check *c)
{
    static const struct {
        struct memory_size asked, max, used;
    } row[] = {
        {{2048, 2048}, {768, 768}, {768, 768}},
        {{1920, 1080}, {768, 768}, {1024, 576}},
        {{512, 512}, {768, 768}, {512, 512}},
        {{1080, 1920}, {768, 768}, {576, 1024}},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct memory_size s = memory_fit_size(row[i].asked, row[i].max);
        cli_check_memory_tell(
            c, s.width == row[i].used.width && s.height == row[i].used.height, "nothing more",
            "size rule: %dx%d where %dx%d is allowed becomes %dx%d", row[i].asked.width,
            row[i].asked.height, row[i].max.width, row[i].max.height, s.width, s.height);
    }
}

bool cli_check_memory_machine(struct cli_check *c, struct error *err)
{
    const struct machine_source system = machine_this_system();
    struct machine m, described;
    const struct machine_words words = {.has_device = true,
                                        .device = MACHINE_MPS,
                                        .has_total = true,
                                        .has_available = true,
                                        .total_bytes = (uint64_t)(16 * GIB),
                                        .available_bytes = (uint64_t)(8.5 * GIB)};

    if (!machine_detect(&m, &system, err))
        return false;
    check_detection(c, &m);
    if (!machine_describe(&described, &words, NULL, err))
        return false;
    const struct memory_policy p = memory_policy_defaults();
    const enum memory_level level = levels_of(described.available_bytes, &p.thresholds);
    const struct memory_size s =
        memory_policy_fit_size(&p, described.device, level, (struct memory_size){2048, 2048});
    cli_check_memory_tell(c, level == MEMORY_LOW && s.width == 768 && s.height == 768,
                          "nothing more",
                          "a described machine (mps, 16G, 8.5G available): level %s, 2048x2048 "
                          "becomes %dx%d",
                          levels_name(level), s.width, s.height);
    check_levels(c);
    check_sizes(c);
    return true;
}
