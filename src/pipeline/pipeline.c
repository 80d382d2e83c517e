#include "pipeline/pipeline.h"

#include "base/clock.h"
#include "memory/process_memory.h"
#include "model/model_vae.h"
#include "pipeline/course.h"
#include "pipeline/pipeline_loras.h"
#include "plan/plan_settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TOKENIZER_DIR_BYTES = 4096 };

struct pipeline {
    struct model *model, *refiner;  /* refiner: NULL for none */
    struct tokenizer *tokenizer[2]; /* one may be NULL */
    bool tokenizer_is_named;        /* it serves the refiner too */
    struct tokenizer *refiner_tokenizer[2];
    char *embeddings_dir;
    struct backend *backend;
    void *arena;
    size_t arena_bytes;
    struct lora_set loras, refiner_loras;
    struct upscaler_file *upscaler; /* NULL: none */
};

/* The folder beside that of the first encoder's, where somebody names a single file's. */
static bool open_sibling(struct tokenizer **out, const char *dir, struct error *err)
{
    char path[TOKENIZER_DIR_BYTES], vocab[TOKENIZER_DIR_BYTES + sizeof "/vocab.json"];
    size_t len = strlen(dir);
    struct stat st;

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len > TOKENIZER_DIR_BYTES - 3)
        return true;
    snprintf(path, sizeof path, "%.*s_2", (int)len, dir);
    snprintf(vocab, sizeof vocab, "%s/vocab.json", path);
    return stat(vocab, &st) != 0 || tokenizer_open(out, path, err);
}

static bool open_own_tokenizers(struct tokenizer *out[2], const struct model *m, struct error *err)
{
    const struct model_info *info = model_view(m);

    for (int i = 0; i < 2; i++)
        if (info->tokenizer_dir[i] && info->has_part[MODEL_TEXT_ENCODER + i] &&
            !tokenizer_open(&out[i], info->tokenizer_dir[i], err))
            return false;
    return true;
}

/* Each encoder's own; a single vocabulary serves both. */
static bool open_tokenizers(struct pipeline *p, const char *dir, struct error *err)
{
    const struct model_info *info = model_view(p->model);

    if (dir)
        return tokenizer_open(&p->tokenizer[0], dir, err) &&
               (info->family == MODEL_SD1 || open_sibling(&p->tokenizer[1], dir, err));
    if (!open_own_tokenizers(p->tokenizer, p->model, err))
        return false;
    return p->tokenizer[0] || p->tokenizer[1] ||
           error_set(err, ERROR_NOT_FOUND,
                     "%s has no tokenizer; name a folder with vocab.json and merges.txt "
                     "with --tokenizer DIR or the setting tokenizer_dir",
                     info->path);
}

static void close_refiner(struct pipeline *p)
{
    tokenizer_close(p->refiner_tokenizer[0]);
    tokenizer_close(p->refiner_tokenizer[1]);
    model_close(p->refiner);
    p->refiner_tokenizer[0] = p->refiner_tokenizer[1] = NULL;
    p->refiner = NULL;
}

bool pipeline_open(struct pipeline **out, const char *model_path, const char *tokenizer_dir,
                   struct backend *b, struct error *err)
{
    struct pipeline *p = calloc(1, sizeof *p);

    if (!p)
        return error_set(err, ERROR_MEMORY, "no memory for a model");
    p->backend = b;
    p->tokenizer_is_named = tokenizer_dir != NULL;
    if (!model_open(&p->model, model_path, err) || !open_tokenizers(p, tokenizer_dir, err)) {
        pipeline_close(p);
        return false;
    }
    *out = p;
    return true;
}

void pipeline_release(struct pipeline *p)
{
    if (p->arena)
        p->backend->fn->arena_free(p->backend, p->arena, p->arena_bytes);
    p->arena = NULL;
    p->arena_bytes = 0;
    process_memory_return_freed();
}

void pipeline_close(struct pipeline *p)
{
    if (!p)
        return;
    if (p->arena)
        p->backend->fn->arena_free(p->backend, p->arena, p->arena_bytes);
    close_refiner(p);
    free(p->embeddings_dir);
    pipeline_set_loras(p, NULL, NULL);
    upscaler_file_close(p->upscaler);
    tokenizer_close(p->tokenizer[0]);
    tokenizer_close(p->tokenizer[1]);
    model_close(p->model);
    free(p);
}

bool pipeline_set_vae(struct pipeline *p, const char *path, struct error *err)
{
    return model_vae_replace(p->model, path, err);
}

bool pipeline_set_refiner(struct pipeline *p, const char *model_path, struct error *err)
{
    close_refiner(p);
    if (!model_path)
        return true;
    if (model_open(&p->refiner, model_path, err) &&
        (p->tokenizer_is_named || open_own_tokenizers(p->refiner_tokenizer, p->refiner, err)))
        return true;
    close_refiner(p);
    return false;
}

bool pipeline_set_upscaler(struct pipeline *p, const char *path, struct error *err)
{
    upscaler_file_close(p->upscaler);
    p->upscaler = NULL;
    return !path || upscaler_file_open(&p->upscaler, path, err);
}

bool pipeline_set_embeddings(struct pipeline *p, const char *dir, struct error *err)
{
    char *copy = dir ? strdup(dir) : NULL;

    if (dir && !copy)
        return error_set(err, ERROR_MEMORY, "no memory for a path");
    free(p->embeddings_dir);
    p->embeddings_dir = copy;
    return true;
}

/* One pass's prompts for one model.  Prompts are read before there is a plan: the experts have no
 * networks yet. */
static bool read_prompts(struct gen_text_need *need, const struct expert *e,
                         const struct pipeline *p, size_t n_tokens[2], struct error *err)
{
    const struct prompt_source from = stages_prompts(e, p->embeddings_dir);
    struct prompt_set set;

    if (!prompt_set_read(&set, &from, e->request, NULL, err))
        return false;
    *need = prompt_set_need(&set);
    if (n_tokens)
        memcpy(n_tokens, set.n_tokens, sizeof set.n_tokens);
    prompt_set_clear(&set);
    return true;
}

bool pipeline_read_prompts(struct gen_request *r, struct pipeline *p, size_t n_tokens[2],
                           struct error *err)
{
    struct gen_plan none = {0};
    const struct gen_request second = gen_request_second_pass(r);
    const struct expert base = stages_base(p->model, p->tokenizer, r, &none);
    const struct expert hires = stages_hires(&base, &second, &none);
    const bool has_second = gen_request_has_hires(r);

    if (!read_prompts(&r->text[0], &base, p, n_tokens, err))
        return false;
    if (gen_plan_has_hires_text(r) && !read_prompts(&r->hires_text, &hires, p, NULL, err))
        return error_prefix(err, "hires");
    const struct expert refiner =
        stages_refiner(&base, p->refiner, p->refiner_tokenizer, has_second ? &second : r, &none);
    return !p->refiner || read_prompts(&r->text[1], &refiner, p, NULL, err);
}

void pipeline_set_loras(struct pipeline *p, const struct gen_request *r,
                        const struct lora_set_place *place)
{
    lora_set_clear(&p->loras);
    lora_set_clear(&p->refiner_loras);
    if (r)
        pipeline_loras_open(&p->loras, r, place, model_view(p->model));
    if (r && p->refiner)
        pipeline_loras_open(&p->refiner_loras, r, place, model_view(p->refiner));
}

const struct model *pipeline_model(const struct pipeline *p)
{
    return p->model;
}

struct plan_models pipeline_models(const struct pipeline *p)
{
    return (struct plan_models){.base = p->model,
                                .refiner = p->refiner,
                                .loras = &p->loras,
                                .refiner_loras = &p->refiner_loras,
                                .upscaler = p->upscaler};
}

struct planning {
    struct gen_plan *out;
    const struct gen_request *request;
    const struct plan_models *models;
    struct backend *backend;
    struct plan_bounds bounds;
};

static bool make_plan(void *ctx, size_t base_bytes, struct error *err)
{
    struct planning *p = ctx;

    gen_plan_clear(p->out);
    p->bounds.base_bytes = base_bytes;
    return gen_plan_make(p->out, p->request, p->models, p->backend, &p->bounds, NULL, err);
}

bool pipeline_plan(struct gen_plan *out, struct pipeline *p, const struct gen_request *r,
                   const struct plan_bounds *bounds, struct error *err)
{
    const struct plan_models models = pipeline_models(p);
    struct gen_request read = *r;
    struct planning planning = {out, &read, &models, p->backend,
                                bounds ? *bounds : gen_plan_no_bounds(0)};

    *out = (struct gen_plan){0};
    return pipeline_read_prompts(&read, p, NULL, err) && plan_settle(make_plan, &planning, err);
}

const struct tokenizer *pipeline_tokenizer(const struct pipeline *p)
{
    return p->tokenizer[0] ? p->tokenizer[0] : p->tokenizer[1];
}

/* One arena serves every run: a run that needs no more takes nothing from the system. */
static bool ensure_arena(struct pipeline *p, size_t bytes, struct error *err)
{
    if (p->arena && p->arena_bytes >= bytes)
        return true;
    if (p->arena)
        p->backend->fn->arena_free(p->backend, p->arena, p->arena_bytes);
    p->arena = NULL;
    if (!p->backend->fn->arena_new(p->backend, &p->arena, bytes, err))
        return false;
    p->arena_bytes = bytes;
    return true;
}

/* That a LoRA does not fit the refiner too is as it should be. */
static void warn_of_models(struct gen_warnings *w, const struct pipeline *p,
                           const struct gen_plan *plan)
{
    for (int i = 0; i < p->loras.n_warnings; i++)
        gen_warnings_add(w, "%s", p->loras.warnings[i]);
    if (!p->refiner || plan->phase[PLAN_REFINE].used)
        return;
    if (model_view(p->model)->family == MODEL_SD1)
        gen_warnings_add(w, "the refiner %s is ignored: %s is no SDXL model",
                         model_view(p->refiner)->name, model_view(p->model)->name);
    else
        gen_warnings_add(w, "the refiner %s has no step to take over",
                         model_view(p->refiner)->name);
}

/* What was asked for and means nothing here. */
static void warn_of_request(struct gen_warnings *w, const struct gen_request *r)
{
    if (r->hires.enabled && !gen_request_has_hires(r))
        gen_warnings_add(w, "there is no second pass: %s",
                         r->input.has_mask ? "a mask and hires do not go together"
                                           : "the size leaves nothing to enlarge");
    if (gen_request_hires_has_prompts(r) && r->hires.prompt &&
        r->prompt_syntax == GEN_SYNTAX_WEBUI && strstr(r->hires.prompt, "<lora:"))
        gen_warnings_add(w, "LoRAs are those of the first prompt; <lora:...> in the second pass's "
                            "does nothing");
}

/* The pictures are what the request says they are. */
static bool check_input(const struct gen_request *r, const struct pipeline_input *input,
                        struct error *err)
{
    const struct image *image = input ? input->image : NULL;
    const int width = r->input.width > 0 ? r->input.width : r->width;
    const int height = r->input.height > 0 ? r->input.height : r->height;

    if (r->mode != GEN_IMG2IMG)
        return true;
    if (!image || image->width != width || image->height != height)
        return error_set(err, ERROR_INVALID, "img2img needs a picture of %dx%d", width, height);
    return (input->mask != NULL) == r->input.has_mask ||
           error_set(err, ERROR_INVALID, "img2img %s a mask",
                     r->input.has_mask ? "needs" : "was planned without");
}

/* What the stages share: set up once the arena is there. */
static bool run(struct gen_result *result, struct pipeline *p, const struct gen_request *r,
                struct gen_plan *plan, const struct pipeline_input *input,
                const struct watch *watch, struct error *err)
{
    const bool second = plan->phase[PLAN_HIRES_DENOISE].used;
    struct stage s = {.backend = p->backend,
                      .request = r,
                      .second = gen_request_second_pass(r),
                      .embeddings_dir = p->embeddings_dir,
                      .upscaler = p->upscaler,
                      .plan = plan,
                      .watch = watch,
                      .result = result};

    result->images = calloc((size_t)plan->batch, sizeof *result->images);
    s.rngs = calloc((size_t)plan->batch, sizeof *s.rngs);
    bool ok = (result->images && s.rngs) ||
              error_set(err, ERROR_MEMORY, "no memory for %d pictures", plan->batch);
    ok = ok && ensure_arena(p, plan->arena_bytes, err);
    s.arena = p->arena;
    s.base = stages_base(p->model, p->tokenizer, r, plan);
    if (second)
        s.hires = stages_hires(&s.base, &s.second, plan);
    if (plan->phase[PLAN_REFINE].used)
        s.refiner =
            stages_refiner(&s.base, p->refiner, p->refiner_tokenizer, second ? &s.second : r, plan);
    ok = ok && course_run(&s, input, err);
    free(s.rngs);
    return ok;
}

bool pipeline_run(struct gen_result *out, struct pipeline *p, const struct gen_request *r,
                  struct gen_plan *plan, const struct pipeline_input *input,
                  const struct watch *watch, struct error *err)
{
    struct gen_result result = {.n_images = plan->batch, .planned_peak_bytes = plan->peak_bytes};
    struct process_memory memory = {0};
    double started = clock_seconds();

    if (!check_input(r, input, err))
        return false;
    bool peak_is_ours = process_memory_reset_peak();
    warn_of_models(&result.warnings, p, plan);
    warn_of_request(&result.warnings, r);
    if (!run(&result, p, r, plan, input, watch, err) || !process_memory_read(&memory, err)) {
        pipeline_result_clear(&result);
        return false;
    }
    result.measured_peak_bytes = peak_is_ours ? memory.peak_bytes : 0;
    result.total_seconds = clock_seconds() - started;
    *out = result;
    return true;
}

void pipeline_result_clear(struct gen_result *r)
{
    for (int i = 0; r->images && i < r->n_images; i++)
        image_clear(&r->images[i]);
    free(r->images);
    *r = (struct gen_result){0};
}
