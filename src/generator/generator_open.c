/* Finds and opens what a job names: model, tokenizer, VAE, refiner, LoRAs, previews' decoder. */
#include "base/clock.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator_internal.h"
#include "generator/generator_tokenizer.h"
#include "model/model_vae_find.h"
#include "pipeline/pipeline_loras.h"
#include "plan/plan_policy.h"

#include <stdio.h>
#include <string.h>

static struct generator_find finder(struct generator *g)
{
    return (struct generator_find){
        .settings = g->options.settings, .library = g->options.library, .own = &g->own_library};
}

static bool find_model(struct generator *g, struct generator_model *out, const char *name,
                       struct error *err)
{
    const struct generator_find f = finder(g);
    return generator_find_model(out, &f, name, err);
}

/* The same file as when it was opened. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtime == b->st_mtime;
}

static bool is_open(const struct generator *g, const struct generator_model *wanted,
                    const char *tokenizer, const struct stat *file)
{
    const struct generator_loaded *l = &g->loaded;

    return l->pipeline && strcmp(l->found.path, wanted->path) == 0 &&
           strcmp(l->tokenizer, tokenizer ? tokenizer : "") == 0 && is_same_file(&l->file, file);
}

static struct settings_origins no_origins(void)
{
    return (struct settings_origins){{0}};
}

/* Scratch memory that the last job left for the next one makes room for what is read now, unless
 * the user wants it kept.  A model that goes takes its own along anyway. */
static void clean_up_before_loading(struct generator *g)
{
    if (plan_policy_of(g->options.settings).optimization[MEMORY_CLEANUP_BEFORE_LOADING] !=
        TRI_FALSE)
        generator_release(g);
}

bool generator_open_model(struct generator *g, const struct gen_job *j, struct error *err)
{
    const struct settings *s = g->options.settings;
    const struct settings_origins none = no_origins();
    const struct generator_find f = finder(g);
    struct generator_loaded *l = &g->loaded;
    struct generator_model wanted;
    const char *tokenizer = NULL;
    char room[GENERATOR_MODEL_PATH_BYTES];
    struct stat file = {0};

    if (!find_model(g, &wanted, j->model, err) ||
        !generator_tokenizer_find(&tokenizer, room, &wanted, &f,
                                  g->options.origins ? g->options.origins : &none, err))
        return false;
    (void)stat(wanted.path, &file); /* opening it tells what is wrong */
    if (is_open(g, &wanted, tokenizer, &file)) {
        l->found = wanted; /* its hash may be known by now */
        return true;
    }
    generator_unload(g);
    if (!g->backend && !cpu_backend_open(&g->backend, (int)s->threads, s->isa, err))
        return false;
    if (!pipeline_open(&l->pipeline, wanted.path, tokenizer, g->backend, err)) {
        l->pipeline = NULL;
        return false;
    }
    l->found = wanted;
    l->file = file;
    snprintf(l->tokenizer, sizeof l->tokenizer, "%s", tokenizer ? tokenizer : "");
    return true;
}

bool generator_open_vae(struct generator *g, const struct gen_job *j, struct error *err)
{
    struct generator_loaded *l = &g->loaded;
    const struct model_info *info = model_view(pipeline_model(l->pipeline));
    const struct generator_find f = finder(g);
    char path[GENERATOR_MODEL_PATH_BYTES];

    if (!generator_find_vae(path, &f, j->vae, info, err))
        return error_prefix(err, "%s", generator_field_name(g, GENERATOR_VAE));
    if (strcmp(path, l->vae) == 0)
        return true;
    l->vae[0] = 0;
    clean_up_before_loading(g);
    if (!pipeline_set_vae(l->pipeline, path[0] ? path : NULL, err)) {
        generator_unload(g); /* half replaced is no state to go on from */
        return false;
    }
    snprintf(l->vae, sizeof l->vae, "%s", path);
    return true;
}

bool generator_open_refiner(struct generator *g, const struct gen_job *j, struct error *err)
{
    struct generator_loaded *l = &g->loaded;
    struct generator_model found = {.path = ""};

    if (j->refiner[0] && !find_model(g, &found, j->refiner, err))
        return error_prefix(err, "%s", generator_field_name(g, GENERATOR_REFINER));
    if (strcmp(found.path, l->refiner) == 0)
        return true;
    l->refiner[0] = 0;
    clean_up_before_loading(g);
    if (!pipeline_set_refiner(l->pipeline, found.path[0] ? found.path : NULL, err))
        return error_prefix(err, "%s", generator_field_name(g, GENERATOR_REFINER));
    snprintf(l->refiner, sizeof l->refiner, "%s", found.path);
    return true;
}

/* The run's own VAE where that is a TAESD, else one called taesd in vae_dir, else an estimate. */
bool generator_open_preview(struct generator *g, const struct gen_job *j, struct error *err)
{
    const struct generator_loaded *l = &g->loaded;
    const struct model *m = pipeline_model(l->pipeline);
    char found[MODEL_VAE_FIND_PATH_BYTES];
    struct error why = {0};
    const bool own = l->vae[0] && model_view(m)->vae.tiny;

    if (!j->preview)
        return true;
    if (!own &&
        !model_vae_find(found, "taesd", g->options.settings->vae_dir, model_view(m)->family, &why))
        return preview_open(&g->now.preview, m, NULL, g->backend, err);
    if (preview_open(&g->now.preview, m, own ? l->vae : found, g->backend, &why))
        return true;
    generator_note(g, "previews are estimates: %s", why.text);
    return preview_open(&g->now.preview, m, NULL, g->backend, err);
}

/* Behind the models that they are for.  One that is missing is told of in the warnings. */
void generator_open_loras(struct generator *g, const struct gen_job *j)
{
    struct generator_prepared *n = &g->now;
    struct generator_find f = finder(g);
    const struct lora_set_place place = generator_find_loras(&f);

    for (int i = 0; i < j->n_loras; i++) {
        const bool is_path = generator_find_lora(n->lora_paths[i], &f, j->loras[i].name);
        n->asked.loras[n->asked.n_loras++] =
            (struct gen_lora){.name = is_path ? n->lora_paths[i] : j->loras[i].name,
                              .is_path = is_path,
                              .scale = j->loras[i].scale};
    }
    pipeline_set_loras(g->loaded.pipeline, &n->asked, &place);
    pipeline_loras_write(n->loras, sizeof n->loras, pipeline_models(g->loaded.pipeline).loras);
}

bool generator_open_upscaler(struct generator *g, char out[GENERATOR_PATH_BYTES], const char *name,
                             struct error *err)
{
    const struct generator_find f = finder(g);

    _Static_assert((int)GENERATOR_PATH_BYTES == (int)GENERATOR_MODEL_PATH_BYTES, "room for a path");
    return generator_find_upscaler(out, &f, name, err) ||
           error_prefix(err, "%s", generator_field_name(g, GENERATOR_UPSCALER));
}
