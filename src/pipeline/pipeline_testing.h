/* For the pipeline's tests: the demo model, small requests, pictures and how far they lie apart. */
#ifndef PIPELINE_PIPELINE_TESTING_H
#define PIPELINE_PIPELINE_TESTING_H

#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "pipeline/pipeline.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char pipeline_testing_model[] = "assets/demo-model";
static const char pipeline_testing_tokenizer[] = "assets/demo-model/tokenizer";

/* What a small process takes or not and what is read ahead on a busy machine, beside 5 % of the
 * plan. */
enum { PIPELINE_TESTING_NOISE_BYTES = 4000000 };

/* Two threads and the demo model; false says why not.  The caller closes both in any case. */
static inline bool pipeline_testing_open(struct backend **b, struct pipeline **p)
{
    struct error err = {0};

    const bool ok = cpu_backend_open(b, 2, NULL, &err) &&
                    pipeline_open(p, pipeline_testing_model, NULL, *b, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    return ok;
}

/* Accepts what a failed start leaves behind. */
static inline void pipeline_testing_close(struct backend *b, struct pipeline *p)
{
    pipeline_close(p);
    if (b)
        b->fn->close(b);
}

enum { PIPELINE_TESTING_PATH_BYTES = 64 };

/* Runs mkcheckpoint, which the variable MKCHECKPOINT names, for a single file of random weights, or
 * of a LoRA for them where lora_rank is not NULL.  The model knows pipeline_testing_tokenizer's
 * words.  False says why not. */
static inline bool pipeline_testing_make_model(char path[PIPELINE_TESTING_PATH_BYTES],
                                               const char *preset, const char *lora_rank)
{
    enum { WORDS = 10, WORD_BYTES = 64 };
    const char *const said[WORDS] = {"mkcheckpoint",
                                     preset,
                                     path,
                                     "--single-file",
                                     "--seed",
                                     "3",
                                     "--tokenizer",
                                     pipeline_testing_tokenizer,
                                     lora_rank ? "--lora" : NULL,
                                     lora_rank};
    char *program = getenv("MKCHECKPOINT"), *environment[] = {NULL};
    char words[WORDS][WORD_BYTES], *arguments[WORDS + 1] = {NULL};
    pid_t child;
    int status = 1;

    snprintf(path, PIPELINE_TESTING_PATH_BYTES, "/tmp/testing-%ld-%s%s.safetensors", (long)getpid(),
             preset, lora_rank ? "-lora" : "");
    for (int i = 0; i < WORDS && said[i]; i++) {
        snprintf(words[i], WORD_BYTES, "%s", said[i]);
        arguments[i] = words[i];
    }
    const bool ok = program &&
                    posix_spawn(&child, program, NULL, NULL, arguments, environment) == 0 &&
                    waitpid(child, &status, 0) == child && status == 0;
    if (!ok)
        fprintf(stderr, "mkcheckpoint (MKCHECKPOINT=%s) makes no %s\n", program ? program : "",
                preset);
    return ok;
}

/* 64x64 in two steps. */
static inline struct gen_request pipeline_testing_request(void)
{
    struct gen_request r = gen_request_defaults();
    r.prompt = "a red circle on a blue background";
    r.width = 64;
    r.height = 64;
    r.steps = 2;
    r.seed = 5;
    return r;
}

/* Beside the request; every field may be NULL. */
struct pipeline_testing_run {
    const struct plan_bounds *bounds;
    const struct image *image;
    const struct mask *mask;
    const struct watch *watch;
    struct plan_levers *levers; /* receives those of the plan */
};

/* Plans and runs; run may be NULL.  Clear *out in any case. */
static inline bool pipeline_testing_generate(struct gen_result *out, struct pipeline *p,
                                             const struct gen_request *r,
                                             const struct pipeline_testing_run *run,
                                             struct error *err)
{
    const struct pipeline_testing_run none = {NULL, NULL, NULL, NULL, NULL};
    struct gen_plan plan = {0};

    run = run ? run : &none;
    *out = (struct gen_result){0};
    const bool planned = pipeline_plan(&plan, p, r, run->bounds, err);
    if (planned && run->levers)
        *run->levers = plan.levers;
    const bool ok =
        planned && pipeline_run(out, p, r, &plan, &(struct pipeline_input){run->image, run->mask},
                                run->watch, err);
    gen_plan_clear(&plan);
    return ok;
}

/* For what must succeed. */
static inline struct gen_result pipeline_testing_draw(struct pipeline *p,
                                                      const struct gen_request *r,
                                                      const struct pipeline_testing_run *run)
{
    struct gen_result out;
    struct error err = {0};

    const bool ok = pipeline_testing_generate(&out, p, r, run, &err);
    if (!ok)
        fprintf(stderr, "%s: %s\n", r->prompt, err.text);
    CHECK(ok && out.n_images == r->batch_size);
    return out;
}

static inline bool pipeline_testing_same(const struct image *a, const struct image *b)
{
    return a && b && a->px && b->px && a->width == b->width && a->height == b->height &&
           memcmp(a->px, b->px, image_bytes(a)) == 0;
}

/* The first pictures of two runs. */
static inline bool pipeline_testing_same_first(const struct gen_result *a,
                                               const struct gen_result *b)
{
    return a->images && b->images && pipeline_testing_same(&a->images[0], &b->images[0]);
}

/* Largest difference of two samples, in 8-bit steps; above any where the sizes differ. */
static inline int pipeline_testing_furthest(const struct image *a, const struct image *b)
{
    int most = 0;

    if (!a || !b || !a->px || !b->px || a->width != b->width || a->height != b->height)
        return 256;
    for (size_t i = 0; i < image_bytes(a); i++) {
        const int d = abs(a->px[i] - b->px[i]);
        most = d > most ? d : most;
    }
    return most;
}

/* Mean difference of two samples of pictures of the same size. */
static inline double pipeline_testing_distance(const struct image *a, const struct image *b)
{
    double sum = 0;

    for (size_t i = 0; i < image_bytes(a); i++)
        sum += abs(a->px[i] - b->px[i]);
    return sum / (double)image_bytes(a);
}

/* The measured peak is not above the plan, and not far below; says the figures where it is. */
static inline bool pipeline_testing_is_within_plan(const char *what, const struct gen_result *r)
{
    const size_t plan = r->planned_peak_bytes, measured = r->measured_peak_bytes;
    const bool ok =
        TEST_SANITIZED || measured == 0 ||
        (measured <= plan && measured + plan / 20 + PIPELINE_TESTING_NOISE_BYTES >= plan);

    if (!ok)
        fprintf(stderr, "%s: planned %zu, measured %zu\n", what, plan, measured);
    return ok;
}

/* A textual inversion: a row of the model's own token table, or of another width. */
static inline bool pipeline_testing_write_word(const char *path, const struct model *m, int32_t row,
                                               int width)
{
    struct model_tensor t;
    char header[200];
    FILE *file = fopen(path, "wb");
    bool ok = file &&
              model_find(m, MODEL_TEXT_ENCODER, "text_model.embeddings.token_embedding.weight", &t);
    if (ok) {
        const size_t bytes = (size_t)width * dtype_bytes(t.dtype);
        snprintf(header, sizeof header,
                 "{\"emb_params\":{\"dtype\":\"%s\",\"shape\":[1,%d],\"data_offsets\":[0,%zu]}}",
                 t.dtype == DTYPE_F32 ? "F32" : "F16", width, bytes);
        for (int i = 0; i < 8; i++)
            fputc((int)(strlen(header) >> (8 * i) & 255), file);
        fputs(header, file);
        ok = fwrite(t.bytes + (size_t)row * bytes, bytes, 1, file) == 1;
    }
    return file && fclose(file) == 0 && ok;
}

#endif
