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

/* The lines of optimizations, for rows that say which follow one another. */
#define TILING "==> Enabled VAE tiling\n"
#define SLICING "==> Enabled attention slicing\n"
#define EFFICIENT "==> Enabled memory efficient attention\n"
#define OFFLOAD "==> Enabled model CPU offload\n"
#define SEQUENTIAL "==> Enabled sequential CPU offload\n"
#define REDUCED "==> Reduced VAE sample size for memory optimization\n"
#define POOLING "==> Enabled memory pooling\n"
#define AFTER "==> Enabled cleanup after generation\n"
#define BEFORE "==> Enabled cleanup before loading\n"

static void tells_every_level_of_every_device(void)
{
    static const struct {
        const char *device, *level;
        double available;
        const char *size, *sdxl, *sd1;
    } row[] = {
        {"mps", "very_low", 4, "512x512", TILING SLICING OFFLOAD SEQUENTIAL REDUCED,
         TILING SLICING OFFLOAD SEQUENTIAL},
        {"mps", "low", 8, "768x768", TILING SLICING OFFLOAD REDUCED, TILING SLICING OFFLOAD},
        {"mps", "medium", 16, "1024x1024", TILING SLICING OFFLOAD REDUCED, TILING SLICING OFFLOAD},
        {"mps", "high", 32, "1280x1280", TILING SLICING OFFLOAD REDUCED, TILING SLICING OFFLOAD},
        {"mps", "very_high", 48, "1536x1536", TILING SLICING OFFLOAD REDUCED,
         TILING SLICING OFFLOAD},
        {"cuda", "very_low", 4, "768x768", EFFICIENT POOLING, EFFICIENT POOLING},
        {"cuda", "low", 8, "1024x1024", EFFICIENT POOLING, EFFICIENT POOLING},
        {"cuda", "medium", 16, "1280x1280", EFFICIENT POOLING, EFFICIENT POOLING},
        {"cuda", "high", 32, "1536x1536", EFFICIENT POOLING, EFFICIENT POOLING},
        {"cuda", "very_high", 48, "2048x2048", EFFICIENT POOLING, EFFICIENT POOLING},
        {"cpu", "very_low", 4, "512x512", EFFICIENT, ""},
        {"cpu", "low", 8, "512x512", EFFICIENT, ""},
        {"cpu", "medium", 16, "768x768", EFFICIENT, ""},
        {"cpu", "high", 32, "1024x1024", EFFICIENT, ""},
        {"cpu", "very_high", 48, "1024x1024", EFFICIENT, ""},
    };
    const struct memory_policy p = memory_policy_defaults();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        for (int is_sdxl = 0; is_sdxl < 2; is_sdxl++) {
            char want[1024], why[64];
            enum machine_device device = MACHINE_CPU;
            CHECK(machine_find_device(&device, row[i].device));
            snprintf(want, sizeof want,
                     "==> System memory: 64.0GB total, %.1fGB available\n==> Using device: %s\n"
                     "==> Memory level: %s\n"
                     "==> Image size adjusted from 4096x4096 to %s to prevent memory issues\n"
                     "==> Applying memory optimizations for device: %s (memory level: %s)\n%s",
                     row[i].available, row[i].device, row[i].level, row[i].size, row[i].device,
                     row[i].level, is_sdxl ? row[i].sdxl : row[i].sd1);
            snprintf(why, sizeof why, "%s, %s, SDXL %d", row[i].device, row[i].level, is_sdxl);
            const struct text t = written(&p, device, 64, row[i].available,
                                          (struct memory_size){4096, 4096}, is_sdxl);
            check_text(why, &t, want);
        }
}

enum { MPS, CUDA, CPU, COLUMNS };

/* Each optimization forced and forbidden, of SDXL and of SD 1.5, on each device. */
static const struct {
    enum memory_optimization optimization;
    enum tri set;
    const char *sdxl[COLUMNS], *sd1[COLUMNS];
} switches[] = {
    {MEMORY_VAE_TILING,
     TRI_TRUE,
     {TILING SLICING OFFLOAD REDUCED, TILING EFFICIENT POOLING, TILING EFFICIENT},
     {TILING SLICING OFFLOAD, TILING EFFICIENT POOLING, TILING}},
    {MEMORY_VAE_TILING,
     TRI_FALSE,
     {SLICING OFFLOAD, EFFICIENT POOLING, EFFICIENT},
     {SLICING OFFLOAD, EFFICIENT POOLING, ""}},
    {MEMORY_ATTENTION_SLICING,
     TRI_TRUE,
     {TILING SLICING OFFLOAD REDUCED, SLICING EFFICIENT POOLING, SLICING},
     {TILING SLICING OFFLOAD, SLICING EFFICIENT POOLING, SLICING}},
    {MEMORY_ATTENTION_SLICING,
     TRI_FALSE,
     {TILING EFFICIENT OFFLOAD REDUCED, EFFICIENT POOLING, EFFICIENT},
     {TILING OFFLOAD, EFFICIENT POOLING, ""}},
    {MEMORY_EFFICIENT_ATTENTION,
     TRI_TRUE,
     {TILING SLICING EFFICIENT OFFLOAD REDUCED, EFFICIENT POOLING, EFFICIENT},
     {TILING SLICING EFFICIENT OFFLOAD, EFFICIENT POOLING, EFFICIENT}},
    {MEMORY_EFFICIENT_ATTENTION,
     TRI_FALSE,
     {TILING SLICING OFFLOAD REDUCED, POOLING, ""},
     {TILING SLICING OFFLOAD, POOLING, ""}},
    {MEMORY_MODEL_CPU_OFFLOAD,
     TRI_TRUE,
     {TILING SLICING OFFLOAD REDUCED, EFFICIENT OFFLOAD POOLING, EFFICIENT OFFLOAD},
     {TILING SLICING OFFLOAD, EFFICIENT OFFLOAD POOLING, OFFLOAD}},
    {MEMORY_MODEL_CPU_OFFLOAD,
     TRI_FALSE,
     {TILING SLICING REDUCED, EFFICIENT POOLING, EFFICIENT},
     {TILING SLICING, EFFICIENT POOLING, ""}},
    {MEMORY_SEQUENTIAL_CPU_OFFLOAD,
     TRI_TRUE,
     {TILING SLICING OFFLOAD SEQUENTIAL REDUCED, EFFICIENT SEQUENTIAL POOLING,
      EFFICIENT SEQUENTIAL},
     {TILING SLICING OFFLOAD SEQUENTIAL, EFFICIENT SEQUENTIAL POOLING, SEQUENTIAL}},
    {MEMORY_SEQUENTIAL_CPU_OFFLOAD,
     TRI_FALSE,
     {TILING SLICING OFFLOAD REDUCED, EFFICIENT POOLING, EFFICIENT},
     {TILING SLICING OFFLOAD, EFFICIENT POOLING, ""}},
    {MEMORY_REDUCE_VAE_SAMPLE_SIZE, /* tiles of a reduced size are tiles; SDXL's VAE alone */
     TRI_TRUE,
     {TILING SLICING OFFLOAD REDUCED, TILING EFFICIENT REDUCED POOLING, TILING EFFICIENT REDUCED},
     {TILING SLICING OFFLOAD, EFFICIENT POOLING, ""}},
    {MEMORY_REDUCE_VAE_SAMPLE_SIZE,
     TRI_FALSE,
     {TILING SLICING OFFLOAD, EFFICIENT POOLING, EFFICIENT},
     {TILING SLICING OFFLOAD, EFFICIENT POOLING, ""}},
    {MEMORY_CLEANUP_AFTER_GENERATION, /* pooling is what there is without it */
     TRI_TRUE,
     {TILING SLICING OFFLOAD REDUCED AFTER, EFFICIENT AFTER, EFFICIENT AFTER},
     {TILING SLICING OFFLOAD AFTER, EFFICIENT AFTER, AFTER}},
    {MEMORY_CLEANUP_AFTER_GENERATION,
     TRI_FALSE,
     {TILING SLICING OFFLOAD REDUCED POOLING, EFFICIENT POOLING, EFFICIENT POOLING},
     {TILING SLICING OFFLOAD POOLING, EFFICIENT POOLING, POOLING}},
    {MEMORY_CLEANUP_BEFORE_LOADING,
     TRI_TRUE,
     {TILING SLICING OFFLOAD REDUCED BEFORE, EFFICIENT POOLING BEFORE, EFFICIENT BEFORE},
     {TILING SLICING OFFLOAD BEFORE, EFFICIENT POOLING BEFORE, BEFORE}},
    {MEMORY_CLEANUP_BEFORE_LOADING,
     TRI_FALSE,
     {TILING SLICING OFFLOAD REDUCED, EFFICIENT POOLING, EFFICIENT},
     {TILING SLICING OFFLOAD, EFFICIENT POOLING, ""}},
};
enum { SWITCHES = sizeof switches / sizeof switches[0] };

static void obeys_forced_and_forbidden_optimizations(void)
{
    static const struct {
        enum machine_device device;
        const char *name, *size;
    } devices[COLUMNS] = {[MPS] = {MACHINE_MPS, "mps", "768x768"},
                          [CUDA] = {MACHINE_CUDA, "cuda", "1024x1024"},
                          [CPU] = {MACHINE_CPU, "cpu", "512x512"}};

    CHECK(SWITCHES == 2 * MEMORY_OPTIMIZATIONS);
    for (int i = 0; i < SWITCHES; i++)
        for (int k = 0; k < 2 * COLUMNS; k++) {
            const int d = k % COLUMNS;
            char want[1024], why[96];
            struct memory_policy p = memory_policy_defaults();
            p.optimization[switches[i].optimization] = switches[i].set;
            snprintf(want, sizeof want,
                     "==> System memory: 16.0GB total, 8.5GB available\n==> Using device: %s\n"
                     "==> Memory level: low\n"
                     "==> Image size adjusted from 2048x2048 to %s to prevent memory issues\n"
                     "==> Applying memory optimizations for device: %s (memory level: low)\n%s",
                     devices[d].name, devices[d].size, devices[d].name,
                     k < COLUMNS ? switches[i].sdxl[d] : switches[i].sd1[d]);
            snprintf(why, sizeof why, "%s=%s, %s, %s",
                     memory_policy_optimization_name(switches[i].optimization),
                     tri_name(switches[i].set), devices[d].name, k < COLUMNS ? "SDXL" : "SD 1.5");
            const struct text t = written(&p, devices[d].device, 16, 8.5,
                                          (struct memory_size){2048, 2048}, k < COLUMNS);
            check_text(why, &t, want);
        }
}

/* What is on by itself can be forbidden where the level asks for it, too. */
static void leaves_sequential_offload_out_where_it_is_forbidden(void)
{
    struct memory_policy p = memory_policy_defaults();
    p.optimization[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = TRI_FALSE;
    const struct text t = written(&p, MACHINE_MPS, 8, 5, (struct memory_size){512, 512}, true);

    check_text("very low", &t,
               "==> System memory: 8.0GB total, 5.0GB available\n==> Using device: mps\n"
               "==> Memory level: very_low\n"
               "==> Applying memory optimizations for device: mps (memory level: very_low)\n" TILING
                   SLICING OFFLOAD REDUCED);
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
    leaves_sequential_offload_out_where_it_is_forbidden();
    says_nothing_of_a_size_that_another_policy_keeps();
    return TEST_END();
}
