#include "generator/generator_plan.h"

#include "base/clock.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator_find.h"
#include "generator/generator_memory.h"
#include "generator/generator_tokenizer.h"
#include "image/builtin_upscaler.h"
#include "model/model_vae.h"
#include "model/upscaler_file.h"
#include "pipeline/pipeline.h"
#include "pipeline/pipeline_loras.h"
#include "plan/plan_policy.h"

#include <string.h>

/* Messages name a flag or a field, as the one who asks knows it. */
static const char *word(const struct generator_plan_ask *ask, const char *flag, const char *field)
{
    return ask->library ? field : flag;
}

static struct generator_find finder(struct generator_plan *p, const struct generator_plan_ask *ask)
{
    return (struct generator_find){
        .settings = ask->settings, .library = ask->library, .own = &p->own_library};
}

static bool open_vae(struct generator_plan *p, const struct generator_plan_ask *ask,
                     struct error *err)
{
    const struct generator_find f = finder(p, ask);
    char path[GENERATOR_MODEL_PATH_BYTES];

    if (!generator_find_vae(path, &f, ask->job->vae, model_view(p->model), err))
        return error_prefix(err, "%s", word(ask, "--vae", "vae"));
    return !path[0] || model_vae_replace(p->model, path, err);
}

static bool open_models(struct generator_plan *p, const struct generator_plan_ask *ask,
                        struct error *err)
{
    const struct generator_find f = finder(p, ask);
    const char *refiner = ask->job->refiner;

    if (!generator_find_model(&p->found, &f, ask->job->model, err) ||
        !model_open(&p->model, p->found.path, err) || !open_vae(p, ask, err))
        return false;
    return !refiner[0] ||
           (generator_find_model(&p->found_refiner, &f, refiner, err) &&
            model_open(&p->refiner, p->found_refiner.path, err)) ||
           error_prefix(err, "%s", word(ask, "--refiner", "refiner_checkpoint"));
}

/* What the prompts take, where there is a tokenizer to tell; else as much as short ones. */
static bool read_prompts(struct generator_plan *p, const struct generator_plan_ask *ask,
                         struct error *err)
{
    const struct settings *s = ask->settings;
    const struct settings_origins none = {{0}};
    const struct generator_find f = finder(p, ask);
    struct pipeline *pipeline = NULL;
    struct error no_tokenizer = {0};
    const char *tokenizer = NULL;
    char room[GENERATOR_MODEL_PATH_BYTES];

    if ((!ask->job->prompt[0] && !ask->job->negative_prompt[0]) ||
        !generator_tokenizer_find(&tokenizer, room, &p->found, &f,
                                  ask->origins ? ask->origins : &none, &no_tokenizer) ||
        !pipeline_open(&pipeline, p->found.path, tokenizer, p->backend, &no_tokenizer))
        return true;
    bool ok = pipeline_set_embeddings(pipeline, s->embeddings_dir, err) &&
              (!p->refiner || pipeline_set_refiner(pipeline, p->found_refiner.path, err)) &&
              pipeline_read_prompts(&p->asked, pipeline, NULL, err);
    pipeline_close(pipeline);
    return ok;
}

static void open_loras(struct generator_plan *p, const struct generator_plan_ask *ask)
{
    struct generator_find f = finder(p, ask);
    const struct lora_set_place place = generator_find_loras(&f);
    const struct gen_job *j = ask->job;

    for (int i = 0; i < j->n_loras; i++) {
        const bool is_path = generator_find_lora(p->lora_paths[i], &f, j->loras[i].name);
        p->asked.loras[p->asked.n_loras++] =
            (struct gen_lora){.name = is_path ? p->lora_paths[i] : j->loras[i].name,
                              .is_path = is_path,
                              .scale = j->loras[i].scale};
    }
    pipeline_loras_open(&p->loras, &p->asked, &place, model_view(p->model));
    if (p->refiner)
        pipeline_loras_open(&p->refiner_loras, &p->asked, &place, model_view(p->refiner));
}

static bool open_upscaler(struct generator_plan *p, const struct generator_plan_ask *ask,
                          struct error *err)
{
    const struct generator_find f = finder(p, ask);
    const char *name = ask->job->hires.upscaler;

    if (!ask->job->hires.enabled || builtin_upscaler_find(name))
        return true;
    return (generator_find_upscaler(p->upscaler_path, &f, name, err) &&
            upscaler_file_open(&p->upscaler, p->upscaler_path, err)) ||
           error_prefix(err, "%s", word(ask, "--hires-upscaler", "hires.upscaler"));
}

static bool make_request(struct generator_plan *p, const struct generator_plan_ask *ask,
                         struct error *err)
{
    const struct generator_request_about about = {.settings = ask->settings,
                                                  .model = &p->found,
                                                  .info = model_view(p->model),
                                                  .input_width = ask->input_width,
                                                  .input_height = ask->input_height,
                                                  .has_mask = ask->has_mask,
                                                  .upscaler_path =
                                                      p->upscaler ? p->upscaler_path : NULL};

    return generator_request_make(&p->asked, ask->job, &about, err);
}

static bool make_plan(struct generator_plan *p, const struct generator_plan_ask *a,
                      struct error *err)
{
    struct plan_size_ask ask = {.policy = &p->policy,
                                .size_policy = &p->size_policy,
                                .machine = &p->machine,
                                .request = &p->asked,
                                .models = {.base = p->model,
                                           .refiner = p->refiner,
                                           .loras = &p->loras,
                                           .refiner_loras = &p->refiner_loras,
                                           .upscaler = p->upscaler},
                                .backend = p->backend,
                                .base_bytes = (size_t)a->base_bytes,
                                .stop = a->stop,
                                .stop_ctx = a->stop_ctx,
                                .would_fit = &p->largest};
    const struct gen_limits limits = generator_request_limits(a->settings);
    const int side = limits.max_side / MEMORY_FIT_MULTIPLE * MEMORY_FIT_MULTIPLE;
    const double started = clock_seconds();

    if (!(a->base_bytes ? plan_size_make(&p->sized, &ask, err)
                        : generator_memory_plan(&p->sized, &ask, err)))
        return false;
    p->planning_seconds = clock_seconds() - started;
    return plan_size_largest(&p->largest, &ask, (struct memory_size){side, side}, err);
}

bool generator_plan_make(struct generator_plan *out, const struct generator_plan_ask *ask,
                         struct error *err)
{
    const struct settings *s = ask->settings;
    struct generator_plan *p = out;

    memset(p, 0, sizeof *p);
    p->policy = plan_policy_of(s);
    p->size_policy = ask->job->size_policy < 0 ? p->policy.size_policy
                                               : (enum memory_size_policy)ask->job->size_policy;
    bool ok = generator_memory_machine(&p->machine, s, false, err) && open_models(p, ask, err) &&
              cpu_backend_open(&p->backend, (int)s->threads, s->isa, err) &&
              open_upscaler(p, ask, err) && make_request(p, ask, err);
    if (ok) {
        open_loras(p, ask);
        ok = read_prompts(p, ask, err) && make_plan(p, ask, err);
    }
    if (!ok) {
        const struct memory_size largest = p->largest;
        generator_plan_clear(p);
        p->largest = largest;
    }
    return ok;
}

void generator_plan_clear(struct generator_plan *p)
{
    plan_size_clear(&p->sized);
    lora_set_clear(&p->loras);
    lora_set_clear(&p->refiner_loras);
    upscaler_file_close(p->upscaler);
    if (p->backend)
        p->backend->fn->close(p->backend);
    model_close(p->refiner);
    model_close(p->model);
    library_close(p->own_library);
    memset(p, 0, sizeof *p);
}
