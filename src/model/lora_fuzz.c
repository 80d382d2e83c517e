#include "model/lora_match.h"
#include "model/model_presets.h"

#include <stdlib.h>

/* Whatever a file says, each delta that is found has factors of exactly the weight's size, inside
 * the file; and the same file is judged against every family. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct lora *l, const char *preset, const uint8_t *data, size_t size)
{
    struct model_info info;
    struct lora_match m;
    struct error err = {0};

    if (!model_presets_find(&info, preset) || !lora_match_make(&m, l, &info, &err))
        return;
    if (m.n + m.n_unmatched > m.n_modules || (!m.compatible && !m.why[0] && m.n_modules))
        abort();
    for (size_t i = 0; i < m.n; i++) {
        const struct lora_target *t = &m.targets[i];
        const uint64_t kernel = (uint64_t)t->shape.kernel, rank = (uint64_t)t->shape.rank;
        const struct tensor_info *both[] = {t->module->up, t->module->down};
        const uint64_t want[] = {(uint64_t)t->shape.rows * rank,
                                 rank * (uint64_t)t->shape.columns * kernel * kernel};
        for (int k = 0; k < 2; k++)
            if (both[k]->n_bytes != want[k] * dtype_bytes(both[k]->dtype) ||
                both[k]->bytes < data || both[k]->bytes + both[k]->n_bytes > data + size)
                abort();
        if (lora_match_find(&m, t->part, t->weight) == NULL)
            abort();
    }
    lora_match_clear(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lora *l = NULL;
    struct error err = {0};

    if (!lora_from_bytes(&l, "fuzz", data, size, &err)) {
        if (l || err.code == ERROR_NONE || !err.text[0])
            abort();
        return 0;
    }
    int least, most;
    lora_ranks(l, &least, &most);
    if (least > most || most > LORA_MAX_RANK || !lora_origin(l)[0])
        abort();
    check(l, "tiny", data, size);
    check(l, "sdxl", data, size);
    lora_close(l);
    return 0;
}
