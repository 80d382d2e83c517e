/* A UNet with LoRAs of random numbers, made here for the demo model. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "model/lora_names.h"
#include "model/model_names.h"
#include "plan/network.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_BYTES = 1 << 18, LATENT = 8 };

struct world {
    struct model *model;
    struct backend *backend;
    char dir[64];
    size_t n_out;
};

/* A LoRA while it is written: the names of one pass, the numbers of the next. */
struct making {
    const struct model_info *info;
    FILE *file;
    char *header;
    size_t len;
    uint64_t data;
    bool numbers, convs;
    int rank;
    uint32_t seed;
};

static void add_tensor(struct making *m, const char *module, const char *role, int64_t a, int64_t b,
                       int64_t kernel)
{
    char name[2 * LORA_NAMES_BYTES], shape[64];
    const int64_t n = a * b * (kernel ? kernel * kernel : 1);

    if (m->numbers) {
        for (int64_t i = 0; i < n; i++) {
            m->seed = m->seed * 1664525u + 1013904223u;
            const uint16_t h = dtype_f16_from_f32((float)(int32_t)m->seed * 0x1p-33f);
            fwrite(&h, sizeof h, 1, m->file);
        }
        return;
    }
    snprintf(name, sizeof name, "lora_unet_%s.lora_%s.weight", module, role);
    snprintf(shape, sizeof shape,
             kernel ? "%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 : "%" PRId64 ",%" PRId64, a, b,
             kernel, kernel);
    m->len += (size_t)snprintf(m->header + m->len, HEADER_BYTES - m->len,
                               "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[%s],"
                               "\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                               m->len ? "," : "{", name, shape, m->data, m->data + 2 * (uint64_t)n);
    m->data += 2 * (uint64_t)n;
}

static bool add_module(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct making *m = ctx;
    char spelled[2][LORA_NAMES_BYTES];

    if (!lora_names_spell(m->info, MODEL_UNET, name, n_dims, spelled) || (!m->convs && n_dims == 4))
        return true;
    add_tensor(m, spelled[0], "down", m->rank, dims[1], n_dims == 4 ? dims[2] : 0);
    add_tensor(m, spelled[0], "up", dims[0], m->rank, 0);
    return true;
}

static void write_lora(const struct world *w, const char *name, int rank, bool convs, uint32_t seed)
{
    char path[128];
    unsigned char length[8];
    struct making m = {.info = model_view(w->model),
                       .header = malloc(HEADER_BYTES),
                       .rank = rank,
                       .convs = convs,
                       .seed = seed};

    snprintf(path, sizeof path, "%s/%s.safetensors", w->dir, name);
    m.file = fopen(path, "wb");
    CHECK(m.header && m.file);
    CHECK(model_names_part(m.info, MODEL_UNET, add_module, &m));
    m.len += (size_t)snprintf(m.header + m.len, HEADER_BYTES - m.len, "}");
    CHECK(m.len < HEADER_BYTES - 1);
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)m.len >> 8 * i);
    fwrite(length, 1, sizeof length, m.file);
    fwrite(m.header, 1, m.len, m.file);
    m.numbers = true;
    CHECK(model_names_part(m.info, MODEL_UNET, add_module, &m));
    CHECK(fclose(m.file) == 0);
    free(m.header);
}

static void fill(struct network *n, int tensor)
{
    const size_t count = (size_t)graph_shape_count(graph_tensor_view(n->graph, tensor)->shape);
    float *x = calloc(count, sizeof *x);
    uint32_t seed = (uint32_t)tensor;

    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    exec_write(n->exec, tensor, x, BACKEND_ROWS);
    free(x);
}

struct outcome {
    float *x; /* owned */
    size_t resident_bytes, streamed_bytes, early_bytes, late_bytes, lora_bytes;
    size_t lora_page_bytes; /* of the pages that the factors lie in, each once */
};

/* The pages of a LoRA's factors, counted one by one. */
static size_t count_pages(const struct lora_match *m)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    size_t n = 0, max = 0;

    for (size_t k = 0; k < m->n; k++)
        max += (m->targets[k].module->up->n_bytes + m->targets[k].module->down->n_bytes) / page + 4;
    uintptr_t *seen = calloc(max + 1, sizeof *seen);
    CHECK(seen != NULL);
    for (size_t k = 0; seen && k < 2 * m->n; k++) {
        const struct lora_module *l = m->targets[k / 2].module;
        const struct tensor_info *t = k % 2 ? l->up : l->down;
        const uintptr_t first = (uintptr_t)t->bytes / page;
        const uintptr_t end = ((uintptr_t)t->bytes + t->n_bytes + page - 1) / page;
        for (uintptr_t p = first; p < end; p++) {
            size_t i = 0;
            while (i < n && seen[i] != p)
                i++;
            if (i == n)
                seen[n++] = p;
        }
    }
    free(seen);
    return n * page;
}

/* What is in memory of weights and deltas in a first run while op runs. */
static size_t bytes_beside(const struct network *n, int op)
{
    const size_t much = (size_t)1 << 40;
    size_t *touched = calloc((size_t)graph_n_ops(n->graph), sizeof *touched);

    CHECK(touched != NULL);
    touched[op] = much; /* so that no other op takes as much */
    const size_t bytes = weights_first_run_bytes(n->weights, n->graph, touched) - much;
    free(touched);
    return bytes;
}

/* Runs the UNet with some LoRAs of the world's folder. */
static struct outcome run(struct world *w, const struct lora_set_wish *wishes, int n,
                          enum weights_policy policy)
{
    struct outcome out = {0};
    struct lora_set *set = calloc(1, sizeof *set);
    struct network net = {0};
    struct error err = {0};

    lora_set_open(set, wishes, n, &(struct lora_set_place){.dir = w->dir}, model_view(w->model));
    CHECK(set->n == n && set->n_warnings == 0);
    for (int i = 0; i < set->n; i++)
        out.lora_page_bytes += count_pages(&set->entries[i].match);
    for (int i = 0; i < set->n; i++)
        for (size_t k = 0; k < set->entries[i].match.n; k++)
            out.lora_bytes += set->entries[i].match.targets[k].module->up->n_bytes +
                              set->entries[i].match.targets[k].module->down->n_bytes;
    const struct network_options options = {.loras = set};
    bool ok = network_unet(&net, w->model, w->backend, 1, LATENT, LATENT, &options, &err) &&
              exec_start(net.exec, NULL, &err);
    if (ok) {
        weights_set_policy(net.weights, policy);
        out.resident_bytes = net.resident_bytes;
        out.streamed_bytes = weights_peak_resident_bytes(net.weights, WEIGHTS_STREAMED);
        out.early_bytes = bytes_beside(&net, 0);
        out.late_bytes = bytes_beside(&net, graph_n_ops(net.graph) - 1);
        fill(&net, net.unet.sample);
        fill(&net, net.unet.timestep);
        fill(&net, net.unet.context);
        ok = exec_run(net.exec, NULL, NULL, &err) && exec_run(net.exec, NULL, NULL, &err);
        w->n_out = (size_t)graph_shape_count(graph_tensor_view(net.graph, net.out)->shape);
        out.x = calloc(w->n_out, sizeof *out.x);
        exec_read(net.exec, net.out, out.x, BACKEND_ROWS);
    }
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    network_clear(&net);
    lora_set_clear(set);
    free(set);
    return out;
}

/* Largest difference. */
static double apart(const struct world *w, const struct outcome *a, const struct outcome *b)
{
    double most = 0;
    for (size_t i = 0; i < w->n_out; i++) {
        const double d = fabs((double)a->x[i] - (double)b->x[i]);
        most = !(d <= most) ? d : most;
    }
    return most;
}

static struct lora_set_wish wish(const char *name, double scale)
{
    return (struct lora_set_wish){.name = name, .text_scale = scale, .unet_scale = scale};
}

/* Merged in the first of two runs; what a model's own networks see afterwards is what they saw. */
static void gives_the_same_bits_merged(struct world *w)
{
    const struct lora_set_wish both[] = {wish("wide", 0.8), wish("locon", -0.5)};
    struct outcome held = run(w, both, 2, WEIGHTS_HELD);
    struct outcome none = run(w, both, 0, WEIGHTS_HELD);
    struct outcome merged = run(w, both, 2, WEIGHTS_MERGED);
    struct outcome after = run(w, both, 0, WEIGHTS_HELD);

    CHECK(memcmp(held.x, merged.x, w->n_out * sizeof *held.x) == 0);
    CHECK(memcmp(none.x, after.x, w->n_out * sizeof *none.x) == 0);
    CHECK(apart(w, &held, &none) > 1e-3);
    CHECK(merged.resident_bytes == held.resident_bytes);
    free(held.x);
    free(none.x);
    free(merged.x);
    free(after.x);
}

static void gives_the_same_bits_held_and_streamed(struct world *w)
{
    const struct lora_set_wish both[] = {wish("linear", 0.8), wish("locon", -0.5)};
    struct outcome held = run(w, both, 2, WEIGHTS_HELD);
    struct outcome streamed = run(w, both, 2, WEIGHTS_STREAMED);
    struct outcome none = run(w, both, 0, WEIGHTS_HELD);

    CHECK(memcmp(held.x, streamed.x, w->n_out * sizeof *held.x) == 0);
    CHECK(apart(w, &held, &none) > 1e-3);
    free(held.x);
    free(streamed.x);
    free(none.x);
}

/* Its own size in memory, in whole pages, and no more: exactly.  Several take the sum. */
static void plans_its_own_size(struct world *w)
{
    const struct lora_set_wish wishes[] = {wish("linear", 1), wish("locon", 0.5)};
    struct outcome without = run(w, wishes, 0, WEIGHTS_HELD);

    for (int n = 1; n <= 2; n++) {
        struct outcome with = run(w, wishes, n, WEIGHTS_HELD);
        const size_t held = with.resident_bytes - without.resident_bytes;
        const size_t streamed = with.streamed_bytes - without.streamed_bytes;
        CHECK(held >= with.lora_bytes && held == with.lora_page_bytes);
        CHECK(streamed == held);
        free(with.x);
    }
    free(without.x);
}

/* In the first run a LoRA's pages come as its layers do: few in the first one, all after the last.
 */
static void comes_layer_by_layer(struct world *w)
{
    const struct lora_set_wish wide[] = {wish("wide", 1)};
    struct outcome with = run(w, wide, 1, WEIGHTS_STREAMED);
    struct outcome without = run(w, wide, 0, WEIGHTS_STREAMED);

    CHECK(with.early_bytes < without.early_bytes + with.lora_page_bytes / 2);
    CHECK(with.late_bytes == without.late_bytes + with.lora_page_bytes);
    free(with.x);
    free(without.x);
}

/* A LoRA and its opposite are none, in whatever order; a scale of 0 is none to the bit. */
static void adds_several_up(struct world *w)
{
    const struct lora_set_wish opposite[] = {wish("locon", 0.7), wish("rank1", 1),
                                             wish("locon", -0.7), wish("rank1", -1)};
    const struct lora_set_wish zero[] = {wish("locon", 0)};
    const struct lora_set_wish split[] = {wish("rank1", 0.5), wish("rank1", 0.25)};
    const struct lora_set_wish whole[] = {wish("rank1", 0.75)};
    struct outcome none = run(w, zero, 0, WEIGHTS_HELD), null = run(w, zero, 1, WEIGHTS_HELD);
    struct outcome gone = run(w, opposite, 4, WEIGHTS_HELD);
    struct outcome halves = run(w, split, 2, WEIGHTS_HELD), one = run(w, whole, 1, WEIGHTS_HELD);

    CHECK(memcmp(none.x, null.x, w->n_out * sizeof *none.x) == 0);
    CHECK(apart(w, &none, &gone) < 2e-3);
    CHECK(apart(w, &halves, &one) < 2e-3 && apart(w, &none, &one) > 1e-3);
    free(none.x);
    free(null.x);
    free(gone.x);
    free(halves.x);
    free(one.x);
}

static void remove_lora(const struct world *w, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s.safetensors", w->dir, name);
    remove(path);
}

int main(void)
{
    struct world w = {.dir = "/tmp/network_lora_test.XXXXXX"};
    struct error err = {0};

    if (!mkdtemp(w.dir) || !model_open(&w.model, "assets/demo-model", &err) ||
        !cpu_backend_open(&w.backend, 2, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    write_lora(&w, "linear", 8, false, 1);
    write_lora(&w, "locon", 4, true, 2);
    write_lora(&w, "rank1", 1, false, 3);
    write_lora(&w, "wide", 256, false, 4);
    gives_the_same_bits_held_and_streamed(&w);
    gives_the_same_bits_merged(&w);
    plans_its_own_size(&w);
    comes_layer_by_layer(&w);
    adds_several_up(&w);
    remove_lora(&w, "linear");
    remove_lora(&w, "locon");
    remove_lora(&w, "rank1");
    remove_lora(&w, "wide");
    rmdir(w.dir);
    w.backend->fn->close(w.backend);
    model_close(w.model);
    return TEST_END();
}
