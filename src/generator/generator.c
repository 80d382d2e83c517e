#include "generator/generator.h"

#include "base/clock.h"
#include "base/fs.h"
#include "generator/generator_internal.h"
#include "generator/generator_memory.h"
#include "generator/generator_request.h"
#include "generator/generator_upscale.h"
#include "image/builtin_upscaler.h"
#include "image/image_format.h"
#include "memory/process_memory.h"
#include "plan/plan_policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *generator_field_name(const struct generator *g, enum generator_field f)
{
    static const char *const names[GENERATOR_FIELDS][2] = {
        [GENERATOR_MODEL] = {"model", "--model"},
        [GENERATOR_VAE] = {"vae", "--vae"},
        [GENERATOR_REFINER] = {"refiner_checkpoint", "--refiner"},
        [GENERATOR_IMAGE] = {"image", "--image"},
        [GENERATOR_MASK] = {"mask", "--mask"},
        [GENERATOR_PROMPT] = {"prompt", "--prompt"},
        [GENERATOR_NEGATIVE_PROMPT] = {"negative_prompt", "--negative-prompt"},
        [GENERATOR_UPSCALER] = {"upscaler", "--upscaler"},
    };
    return names[f][!g->options.library];
}

void generator_note(struct generator *g, const char *fmt, ...)
{
    char text[GEN_WARNINGS_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    gen_warnings_add(&g->now.notes, "%s", text);
}

bool generator_open(struct generator **out, const struct generator_options *o, struct error *err)
{
    struct generator *g = calloc(1, sizeof *g);

    *out = g;
    if (!g)
        return error_set(err, ERROR_MEMORY, "no memory for a generator");
    g->options = *o;
    return true;
}

static void clear_prepared(struct generator *g)
{
    struct generator_prepared *n = &g->now;

    plan_size_clear(&n->sized);
    preview_close(n->preview);
    image_clear(&n->input);
    mask_clear(&n->mask);
    free(n->infotext);
    if (g->loaded.pipeline)
        pipeline_set_loras(g->loaded.pipeline, NULL, NULL);
    memset(n, 0, sizeof *n);
}

void generator_forget(struct generator *g)
{
    clear_prepared(g);
    process_memory_return_freed();
}

void generator_unload(struct generator *g)
{
    struct generator_loaded *l = &g->loaded;

    memory_reserve_set(g->options.reserve, 0);
    plan_size_clear(&g->now.sized); /* its networks borrow the model */
    g->now.ready = false;
    pipeline_close(l->pipeline);
    *l = (struct generator_loaded){0};
    process_memory_return_freed();
}

void generator_close(struct generator *g)
{
    if (!g)
        return;
    clear_prepared(g);
    generator_unload(g);
    if (g->backend)
        g->backend->fn->close(g->backend);
    library_close(g->own_library);
    free(g);
}

void generator_release(struct generator *g)
{
    if (g->loaded.pipeline)
        pipeline_release(g->loaded.pipeline);
}

bool generator_idle(struct generator *g)
{
    const struct memory_policy policy = plan_policy_of(g->options.settings);
    const double idle = clock_seconds() - g->loaded.used;

    if (!g->loaded.pipeline)
        return false;
    if ((policy.model_idle_seconds == 0 || idle < (double)policy.model_idle_seconds) &&
        !generator_memory_is_pressed(NULL))
        return false;
    clear_prepared(g);
    generator_unload(g);
    return true;
}

/* Clients are not told where the server keeps their files. */
static bool load_file(const struct generator *g, struct image_file *out, const char *path,
                      struct error *err)
{
    char *bytes;
    size_t len;

    if (!g->options.library)
        return image_format_load(out, path, err);
    if (!fs_read(&bytes, &len, path, IMAGE_FORMAT_MAX_FILE_BYTES, err))
        return error_set(err, err->code, "the file cannot be read");
    bool ok = image_format_read(out, bytes, len, image_default_limits(), err);
    free(bytes);
    return ok;
}

static bool load_mask(struct generator *g, struct error *err)
{
    struct generator_prepared *n = &g->now;
    const bool is_round = n->task.job->mask.round;
    char *bytes;
    size_t len;

    if (!g->options.library)
        return mask_load(&n->mask, n->task.mask, is_round, err);
    if (!fs_read(&bytes, &len, n->task.mask, IMAGE_FORMAT_MAX_FILE_BYTES, err))
        return error_set(err, err->code, "the file cannot be read");
    bool ok = mask_read(&n->mask, bytes, len, image_default_limits(), is_round, err);
    free(bytes);
    return ok;
}

static bool load_input(struct generator *g, struct error *err)
{
    struct generator_prepared *n = &g->now;
    struct image_file file;

    if (n->task.job->mode == GEN_JOB_TXT2IMG)
        return true;
    if (!n->task.input)
        return error_set(err, ERROR_INVALID, "%s needs a picture: %s",
                         gen_job_mode_names[n->task.job->mode],
                         generator_field_name(g, GENERATOR_IMAGE));
    if (!load_file(g, &file, n->task.input, err))
        return error_prefix(err, "%s", generator_field_name(g, GENERATOR_IMAGE));
    n->input = file.image;
    n->input_width = file.image.width;
    n->input_height = file.image.height;
    n->infotext = file.infotext;
    file.infotext = NULL;
    file.image = (struct image){0};
    image_format_clear(&file);
    if (n->task.mask && !load_mask(g, err))
        return error_prefix(err, "%s", generator_field_name(g, GENERATOR_MASK));
    n->has_mask = n->task.mask != NULL;
    return true;
}

/* What was asked for, and the machine it is asked of. */
static bool ask(struct generator *g, struct error *err)
{
    struct generator_prepared *n = &g->now;
    const struct gen_job *j = n->task.job;
    const struct settings *s = g->options.settings;
    struct generator_request_about about = {
        .settings = s,
        .model = &g->loaded.found,
        .info = model_view(pipeline_model(g->loaded.pipeline)),
        .input_width = n->input_width,
        .input_height = n->input_height,
        .has_mask = n->has_mask,
    };

    if (j->hires.enabled && !builtin_upscaler_find(j->hires.upscaler)) {
        if (!generator_open_upscaler(g, n->upscaler_path, j->hires.upscaler, err))
            return false;
        about.upscaler_path = n->upscaler_path;
    }
    if (!pipeline_set_upscaler(g->loaded.pipeline, about.upscaler_path, err))
        return false;
    n->policy = plan_policy_of(s);
    n->size_policy =
        j->size_policy < 0 ? n->policy.size_policy : (enum memory_size_policy)j->size_policy;
    return generator_memory_machine(&n->machine, s, true, err) &&
           generator_request_make(&n->asked, j, &about, err);
}

/* Reads the prompts: what they take goes into the plan, and what is not seen of them is told. */
static bool read_prompts(struct generator *g, struct error *err)
{
    struct generator_prepared *n = &g->now;
    const enum generator_field fields[2] = {GENERATOR_PROMPT, GENERATOR_NEGATIVE_PROMPT};

    if (!pipeline_set_embeddings(g->loaded.pipeline, g->options.settings->embeddings_dir, err) ||
        !pipeline_read_prompts(&n->asked, g->loaded.pipeline, n->n_tokens, err))
        return false;
    for (int i = 0; i < 2; i++)
        if (n->n_tokens[i] > TOKENIZER_LENGTH - 2 && n->asked.prompt_syntax == GEN_SYNTAX_OFF)
            generator_note(g, "%s has %zu tokens; the model sees the first %d",
                           generator_field_name(g, fields[i]), n->n_tokens[i],
                           TOKENIZER_LENGTH - 2);
    return true;
}

static bool fit_input(struct generator *g, struct error *err)
{
    struct generator_prepared *n = &g->now;
    const struct gen_request *r = &n->sized.request;
    struct image fitted;

    if (r->mode != GEN_IMG2IMG || r->input.width > 0 ||
        (n->input.width == r->width && n->input.height == r->height))
        return true;
    if (!resize_mode_image(&fitted, &n->input, r->width, r->height, r->resize_mode, err))
        return false;
    image_clear(&n->input);
    n->input = fitted;
    return true;
}

/* Plans, brings the input to the planned size, and plans again where that changed what the process
 * holds. */
static bool plan(struct generator *g, struct error *err)
{
    struct generator_prepared *n = &g->now;
    struct plan_size_ask ask = {.policy = &n->policy,
                                .size_policy = &n->size_policy,
                                .machine = &n->machine,
                                .request = &n->asked,
                                .models = pipeline_models(g->loaded.pipeline),
                                .backend = g->backend,
                                .beside_bytes = n->preview ? preview_bytes(n->preview) : 0};
    struct transcript *t = &n->sized.transcript;

    if (!generator_memory_plan(&n->sized, &ask, err))
        return false;
    if (n->asked.mode == GEN_IMG2IMG && n->asked.input.width == 0 &&
        (t->used.width != n->input.width || t->used.height != n->input.height)) {
        struct gen_request used = n->sized.request;
        if (!fit_input(g, err))
            return false;
        plan_size_clear(&n->sized);
        ask.request = &used;
        if (!generator_memory_plan(&n->sized, &ask, err) || !fit_input(g, err))
            return false;
        t->asked = (struct memory_size){n->asked.width, n->asked.height};
    }
    return true;
}

/* What would be made on a machine; zeroes where nothing fits. */
static bool size_on(struct memory_size *out, const struct generator *g, uint64_t available,
                    struct error *err)
{
    const struct generator_prepared *n = &g->now;
    struct machine machine = n->machine;
    struct process_memory memory = {0};
    struct plan_size p = {0};
    struct error why = {0};

    machine.available_bytes = available;
    *out = (struct memory_size){0, 0};
    if (!process_memory_read(&memory, err))
        return false;
    const struct plan_size_ask ask = {.policy = &n->policy,
                                      .size_policy = &n->size_policy,
                                      .machine = &machine,
                                      .request = &n->asked,
                                      .models = pipeline_models(g->loaded.pipeline),
                                      .backend = g->backend,
                                      .base_bytes = (size_t)memory.resident_bytes,
                                      .beside_bytes = n->preview ? preview_bytes(n->preview) : 0};
    if (plan_size_make(&p, &ask, &why)) {
        *out = p.transcript.used;
        plan_size_clear(&p);
        return true;
    }
    if (why.code == ERROR_LIMIT)
        return true;
    *err = why;
    return false;
}

/* Whether the memory that others have reserved makes a difference to what would be made. */
static bool is_in_the_way(bool *out, const struct generator *g, uint64_t others, struct error *err)
{
    const uint64_t available = g->now.machine.available_bytes;
    struct memory_size alone, beside;

    *out = false;
    if (!others)
        return true;
    if (!size_on(&alone, g, available, err) ||
        !size_on(&beside, g, available > others ? available - others : 0, err))
        return false;
    *out = alone.width != beside.width || alone.height != beside.height;
    return true;
}

/* A machine that is only described has no others. */
static bool is_shared(const struct generator *g)
{
    return g->options.reserve && g->options.settings->available == SETTINGS_BYTES_AUTO;
}

/* Waits until the job gets what it would get alone; plans it beside those that run then, and
 * reserves its peak before they may look again. */
static bool plan_beside_others(struct generator *g, struct error *err)
{
    const struct timespec moment = {.tv_nsec = 200000000};
    struct memory_reserve *reserve = is_shared(g) ? g->options.reserve : NULL;
    struct machine *m = &g->now.machine;

    for (bool waits = false;;) {
        const uint64_t others = memory_reserve_begin(reserve);
        bool ok = (!waits || generator_memory_machine(m, g->options.settings, true, err)) &&
                  is_in_the_way(&waits, g, others, err);
        if (ok && (!waits || !g->options.stop_waiting)) {
            m->available_bytes = m->available_bytes > others ? m->available_bytes - others : 0;
            ok = plan(g, err);
            memory_reserve_end(reserve, ok ? g->now.sized.plan.peak_bytes : 0);
            return ok;
        }
        memory_reserve_end(reserve, 0);
        if (!ok)
            return false;
        if (g->options.stop_waiting(g->options.stop_ctx))
            return error_set(err, ERROR_CANCELLED,
                             "cancelled while it waited for memory that "
                             "other jobs have reserved");
        (void)nanosleep(&moment, NULL);
    }
}

bool generator_prepare(struct generator *g, const struct generator_task *t, struct error *err)
{
    struct generator_prepared *n = &g->now;
    struct process_memory memory = {0};
    const struct gen_job *j = t->job;

    clear_prepared(g);
    n->task = *t;
    n->is_upscale = j->mode == GEN_JOB_UPSCALE;
    if (!process_memory_read(&memory, err))
        return false;
    n->resident_bytes = memory.resident_bytes;
    if (j->mode == GEN_JOB_UPSCALE) {
        n->ready = load_input(g, err) && generator_upscale_prepare(g, err);
        if (!n->ready)
            clear_prepared(g);
        memory_reserve_set(g->options.reserve, n->ready ? n->upscale_bytes : 0);
        return g->now.ready;
    }
    bool ok = load_input(g, err) && generator_open_model(g, j, err) &&
              generator_open_vae(g, j, err) && generator_open_preview(g, j, err) &&
              generator_open_refiner(g, j, err) && ask(g, err);
    if (ok) {
        generator_open_loras(g, j);
        ok = read_prompts(g, err) && plan_beside_others(g, err);
    }
    g->loaded.used = clock_seconds();
    if (!ok) {
        clear_prepared(g);
        generator_release(g);
        return false;
    }
    if (n->sized.plan.phase[PLAN_REFINE].used)
        n->refiner_name = model_view(pipeline_models(g->loaded.pipeline).refiner)->name;
    n->ready = true;
    if (t->log)
        generator_memory_tell(&n->sized, t->log);
    return true;
}

struct generator_view generator_view(const struct generator *g)
{
    const struct generator_prepared *n = &g->now;
    struct generator_view v = {.backend = g->backend};

    if (g->loaded.pipeline) {
        v.model = model_view(pipeline_model(g->loaded.pipeline));
        v.model_name = generator_model_name(&g->loaded.found, v.model);
    }
    if (!n->ready)
        return v;
    v.input_width = n->input_width;
    v.input_height = n->input_height;
    v.notes = &n->notes;
    if (n->is_upscale) {
        v.n_pictures = 1;
        v.reserved_bytes = n->upscale_bytes;
        return v;
    }
    v.sized = &n->sized;
    v.n_pictures = n->sized.request.batch_size * n->sized.request.n_iter;
    v.reserved_bytes = n->sized.plan.peak_bytes;
    memcpy(v.n_tokens, n->n_tokens, sizeof v.n_tokens);
    return v;
}
