#include "base/test.h"
#include "memory/transcript.h"

#include <string.h>

struct text {
    char bytes[2048];
    size_t len;
};

static void keep(void *ctx, const char *line, size_t len)
{
    struct text *t = ctx;
    if (t->len + len < sizeof t->bytes) {
        memcpy(t->bytes + t->len, line, len);
        t->len += len;
    }
}

static uint64_t gib(double n)
{
    return (uint64_t)(n * (double)((uint64_t)1 << 30));
}

static void check_text(const char *why, const struct text *got, const char *want)
{
    bool same = got->len == strlen(want) && memcmp(got->bytes, want, got->len) == 0;
    if (!same)
        fprintf(stderr, "row: %s:\n%.*s", why, (int)got->len, got->bytes);
    CHECK(same);
}

static struct text written(const struct memory_policy *p, enum machine_device device, double total,
                           double available, struct memory_size asked, bool is_sdxl)
{
    struct text text = {.len = 0};
    const struct log log = {.write = keep, .ctx = &text};
    const struct machine m = {
        .device = device, .total_bytes = gib(total), .available_bytes = gib(available)};
    const struct transcript t = transcript_of(p, &m, asked, is_sdxl);

    transcript_write(&t, &log);
    return text;
}

#define MPS_HEAD                                                                                   \
    "==> System memory: 16.0GB total, 8.5GB available\n==> Using device: mps\n"                    \
    "==> Memory level: low\n"                                                                      \
    "==> Image size adjusted from 2048x2048 to 768x768 to prevent memory issues\n"                 \
    "==> Applying memory optimizations for device: mps (memory level: low)\n"

static void writes_the_documented_lines(void)
{
    const struct memory_policy p = memory_policy_defaults();
    const struct text t = written(&p, MACHINE_MPS, 16, 8.5, (struct memory_size){2048, 2048}, true);

    check_text("the example", &t,
               "==> System memory: 16.0GB total, 8.5GB available\n"
               "==> Using device: mps\n"
               "==> Memory level: low\n"
               "==> Image size adjusted from 2048x2048 to 768x768 to prevent memory issues\n"
               "==> Applying memory optimizations for device: mps (memory level: low)\n"
               "==> Enabled VAE tiling\n"
               "==> Enabled attention slicing\n"
               "==> Enabled model CPU offload\n"
               "==> Reduced VAE sample size for memory optimization\n");
}

static void writes_their_counterparts(void)
{
    static const struct {
        const char *why;
        enum machine_device device;
        double total, available;
        struct memory_size asked;
        bool is_sdxl;
        const char *want;
    } row[] = {
        {"cuda",
         MACHINE_CUDA,
         24,
         20,
         {2048, 2048},
         true,
         "==> System memory: 24.0GB total, 20.0GB available\n==> Using device: cuda\n"
         "==> Memory level: medium\n"
         "==> Image size adjusted from 2048x2048 to 1280x1280 to prevent memory issues\n"
         "==> Applying memory optimizations for device: cuda (memory level: medium)\n"
         "==> Enabled memory efficient attention\n==> Enabled memory pooling\n"},
        {"cpu, nothing to adjust",
         MACHINE_CPU,
         64,
         33,
         {1024, 1024},
         false,
         "==> System memory: 64.0GB total, 33.0GB available\n==> Using device: cpu\n"
         "==> Memory level: very_high\n"
         "==> Applying memory optimizations for device: cpu (memory level: very_high)\n"},
        {"cpu, SDXL",
         MACHINE_CPU,
         16,
         12.26,
         {1920, 1080},
         true,
         "==> System memory: 16.0GB total, 12.3GB available\n==> Using device: cpu\n"
         "==> Memory level: low\n"
         "==> Image size adjusted from 1920x1080 to 680x384 to prevent memory issues\n"
         "==> Applying memory optimizations for device: cpu (memory level: low)\n"
         "==> Enabled memory efficient attention\n"},
        {"mps, SD 1.5",
         MACHINE_MPS,
         16,
         8.5,
         {512, 512},
         false,
         "==> System memory: 16.0GB total, 8.5GB available\n==> Using device: mps\n"
         "==> Memory level: low\n"
         "==> Applying memory optimizations for device: mps (memory level: low)\n"
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n"
         "==> Enabled model CPU offload\n"},
        {"mps, very low",
         MACHINE_MPS,
         8,
         5,
         {1024, 1024},
         true,
         "==> System memory: 8.0GB total, 5.0GB available\n==> Using device: mps\n"
         "==> Memory level: very_low\n"
         "==> Image size adjusted from 1024x1024 to 512x512 to prevent memory issues\n"
         "==> Applying memory optimizations for device: mps (memory level: very_low)\n"
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n"
         "==> Enabled model CPU offload\n==> Enabled sequential CPU offload\n"
         "==> Reduced VAE sample size for memory optimization\n"},
    };
    const struct memory_policy p = memory_policy_defaults();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct text t = written(&p, row[i].device, row[i].total, row[i].available,
                                      row[i].asked, row[i].is_sdxl);
        check_text(row[i].why, &t, row[i].want);
    }
}

static void tells_every_level_of_every_device(void)
{
    static const double available[MEMORY_LEVELS] = {4, 8, 16, 32, 48};
    const struct memory_policy p = memory_policy_defaults();

    for (int d = 0; d < MACHINE_DEVICE_COUNT; d++)
        for (int k = 0; k < MEMORY_LEVELS; k++) {
            char head[512];
            const enum machine_device device = (enum machine_device)d;
            const struct memory_size asked = {4096, 4096},
                                     max = memory_policy_max_size(&p, device, (enum memory_level)k);
            struct text t = written(&p, device, 64, available[k], asked, true);
            const char *name = levels_name((enum memory_level)k);

            snprintf(head, sizeof head,
                     "==> System memory: 64.0GB total, %.1fGB available\n==> Using device: %s\n"
                     "==> Memory level: %s\n"
                     "==> Image size adjusted from 4096x4096 to %dx%d to prevent memory issues\n"
                     "==> Applying memory optimizations for device: %s (memory level: %s)\n",
                     available[k], machine_device_name(device), name, max.width, max.height,
                     machine_device_name(device), name);
            t.len = t.len < strlen(head) ? t.len : strlen(head);
            check_text(name, &t, head);
        }
}

static void obeys_forced_and_forbidden_optimizations(void)
{
    static const struct {
        enum memory_optimization optimization;
        enum tri set;
        const char *want; /* behind the head */
    } row[] = {
        {MEMORY_VAE_TILING, TRI_TRUE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n==> Enabled model CPU offload\n"
         "==> Reduced VAE sample size for memory optimization\n"},
        {MEMORY_VAE_TILING, TRI_FALSE,
         "==> Enabled attention slicing\n==> Enabled model CPU offload\n"},
        {MEMORY_ATTENTION_SLICING, TRI_FALSE,
         "==> Enabled VAE tiling\n==> Enabled memory efficient attention\n"
         "==> Enabled model CPU offload\n==> Reduced VAE sample size for memory optimization\n"},
        {MEMORY_EFFICIENT_ATTENTION, TRI_TRUE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n"
         "==> Enabled memory efficient attention\n==> Enabled model CPU offload\n"
         "==> Reduced VAE sample size for memory optimization\n"},
        {MEMORY_MODEL_CPU_OFFLOAD, TRI_FALSE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n"
         "==> Reduced VAE sample size for memory optimization\n"},
        {MEMORY_SEQUENTIAL_CPU_OFFLOAD, TRI_TRUE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n==> Enabled model CPU offload\n"
         "==> Enabled sequential CPU offload\n"
         "==> Reduced VAE sample size for memory optimization\n"},
        {MEMORY_REDUCE_VAE_SAMPLE_SIZE, TRI_FALSE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n==> Enabled model CPU offload\n"},
        {MEMORY_CLEANUP_AFTER_GENERATION, TRI_TRUE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n==> Enabled model CPU offload\n"
         "==> Reduced VAE sample size for memory optimization\n"
         "==> Enabled cleanup after generation\n"},
        {MEMORY_CLEANUP_AFTER_GENERATION, TRI_FALSE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n==> Enabled model CPU offload\n"
         "==> Reduced VAE sample size for memory optimization\n==> Enabled memory pooling\n"},
        {MEMORY_CLEANUP_BEFORE_LOADING, TRI_TRUE,
         "==> Enabled VAE tiling\n==> Enabled attention slicing\n==> Enabled model CPU offload\n"
         "==> Reduced VAE sample size for memory optimization\n"
         "==> Enabled cleanup before loading\n"},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char want[1024], why[96];
        struct memory_policy p = memory_policy_defaults();
        p.optimization[row[i].optimization] = row[i].set;
        snprintf(want, sizeof want, "%s%s", MPS_HEAD, row[i].want);
        snprintf(why, sizeof why, "%s=%s", memory_policy_optimization_name(row[i].optimization),
                 tri_name(row[i].set));
        const struct text t =
            written(&p, MACHINE_MPS, 16, 8.5, (struct memory_size){2048, 2048}, true);
        check_text(why, &t, want);
    }
}

static void says_nothing_of_a_size_that_another_policy_keeps(void)
{
    struct memory_policy p = memory_policy_defaults();
    p.size_policy = MEMORY_SIZE_REFUSE;
    struct text t = written(&p, MACHINE_MPS, 16, 8.5, (struct memory_size){2048, 2048}, true);
    t.bytes[t.len] = 0;
    CHECK(!strstr(t.bytes, "Image size"));
}

int main(void)
{
    writes_the_documented_lines();
    writes_their_counterparts();
    tells_every_level_of_every_device();
    obeys_forced_and_forbidden_optimizations();
    says_nothing_of_a_size_that_another_policy_keeps();
    return TEST_END();
}
