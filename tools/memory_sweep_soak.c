/* Many generations in one process: nothing may pile up. */
#include "engine/cpu/cpu_backend.h"
#include "memory/process_memory.h"
#include "memory_sweep.h"

#include <inttypes.h>

enum { ALLOWED_BYTES = 2 << 20 };

static bool generate(uint64_t *resident_bytes, struct pipeline *p, int i, struct error *err)
{
    static const int sides[][2] = {{64, 64}, {128, 96}, {192, 128}, {96, 192}, {256, 256}};
    const int *side = sides[i % 5];
    struct sweep_row row = {.mode = i % 3 == 2 ? GEN_IMG2IMG : GEN_TXT2IMG,
                            .width = side[0],
                            .height = side[1],
                            .steps = 1};
    struct gen_request r = memory_sweep_row_request(&row);
    struct plan_bounds bounds = gen_plan_no_bounds(0);
    struct gen_plan plan = {0};
    struct gen_result result = {0};
    struct image input = {0};
    struct process_memory now;

    r.seed = (uint64_t)i;
    bounds.on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = i % 4 == 3;
    bounds.on.on[MEMORY_VAE_TILING] = i % 7 >= 5;
    bool ok = image_init(&input, row.width, row.height, err);
    for (size_t k = 0; ok && k < image_bytes(&input); k++)
        input.px[k] = (unsigned char)(k % 251);
    ok = ok && pipeline_plan(&plan, p, &r, &bounds, err) &&
         pipeline_run(&result, p, &r, &plan, &(struct pipeline_input){.image = &input}, NULL, err);
    pipeline_result_clear(&result);
    gen_plan_clear(&plan);
    image_clear(&input);
    ok = ok && process_memory_read(&now, err);
    *resident_bytes = ok ? now.resident_bytes : 0;
    return ok;
}

bool memory_sweep_soak_run(bool *ok, const struct sweep_model *model, int n, struct error *err)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;
    uint64_t second = 0, most = 0, least = UINT64_MAX;

    bool ran = cpu_backend_open(&b, model->threads, NULL, err) &&
               pipeline_open(&p, model->path, model->tokenizer_dir, b, err);
    for (int i = 0; ran && i < n; i++) {
        uint64_t now = 0;
        ran = generate(&now, p, i, err);
        if (i == 1)
            second = now;
        if (i >= 1) {
            most = now > most ? now : most;
            least = now < least ? now : least;
        }
    }
    *ok = ran && most - second <= ALLOWED_BYTES && second - least <= ALLOWED_BYTES;
    if (ran)
        printf("%s  %d generations: %.2f MB resident after the second, %.2f to %.2f MB after all "
               "later ones (2.10 MB allowed)\n",
               *ok ? "ok    " : "FAILED", n, (double)second / 1e6, (double)least / 1e6,
               (double)most / 1e6);
    pipeline_close(p);
    if (b)
        b->fn->close(b);
    return ran;
}
