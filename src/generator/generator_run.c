/* Runs what was prepared: batch after batch, with progress over the whole job. */
#include "base/clock.h"
#include "generator/generator_internal.h"
#include "generator/generator_memory.h"
#include "generator/generator_upscale.h"
#include "image/image_format.h"
#include "image/infotext.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the watch of the pipeline is given. */
struct running {
    struct generator *g;
    const struct generator_watch *watch;
    double began;               /* clock_seconds */
    double before[PLAN_PHASES]; /* modelled seconds of the phases before each */
    double all;                 /* modelled seconds of a batch */
    double best;                /* progress told so far */
    int batch, batches;         /* from 0 on */
    double drawn;               /* when the last preview was */
    bool cancel, stop, skip;    /* skip: of this batch only */
    struct generator_pictures pictures;
};

static void begin(struct running *r, struct generator *g, const struct generator_watch *watch)
{
    const struct gen_plan *plan = &g->now.sized.plan;

    *r = (struct running){.g = g, .watch = watch, .batches = g->now.sized.request.n_iter};
    r->began = r->drawn = clock_seconds();
    for (int i = 0; i < PLAN_PHASES; i++) {
        r->before[i] = r->all;
        if (plan->phase[i].used)
            r->all += plan->phase[i].seconds;
    }
    r->pictures.seeds = json_array();
    r->pictures.infotexts = json_array();
}

static void report(void *ctx, enum plan_phase phase, double done, double total)
{
    struct running *r = ctx;
    const double part = total > 0 ? fmin(1, done / total) : 0;
    const double seconds = r->before[phase] + part * r->g->now.sized.plan.phase[phase].seconds;
    const double of_batch = r->all > 0 ? fmin(1, seconds / r->all) : part;

    r->best = fmax(r->best, (r->batch + of_batch) / r->batches);
    if (!r->watch || !r->watch->progress)
        return;
    const struct plan_size *sized = &r->g->now.sized;
    const int steps = gen_plan_steps(&sized->plan, &sized->request, phase);
    const struct generator_progress p = {
        .phase = phase,
        .phase_name = gen_plan_phase_name(phase),
        .phase_done = done,
        .phase_total = total,
        .progress = r->best,
        .seconds_left =
            r->best > 0.01 ? (clock_seconds() - r->began) * (1 - r->best) / r->best : -1,
        .step = (int)(part * steps + 1e-9),
        .steps = steps,
        .batch = r->batch + 1,
        .batches = r->batches};
    r->watch->progress(r->watch->ctx, &p);
}

static void look(struct running *r)
{
    if (!r->watch || !r->watch->wish)
        return;
    switch (r->watch->wish(r->watch->ctx)) {
    case GENERATOR_CANCEL:
        r->cancel = true;
        break;
    case GENERATOR_FINISH:
        r->stop = true;
        break;
    case GENERATOR_SKIP:
        r->skip = true;
        break;
    case GENERATOR_GO_ON:
        break;
    }
}

static bool is_cancelled(void *ctx)
{
    struct running *r = ctx;
    look(r);
    return r->cancel;
}

static bool is_enough(void *ctx)
{
    struct running *r = ctx;
    look(r);
    return r->stop || r->skip;
}

static bool is_due(struct running *r, double done)
{
    const double every = r->g->now.task.job->preview_every_seconds;

    if (!r->g->now.preview || !r->watch || !r->watch->preview)
        return false;
    if (r->watch->preview_due)
        return r->watch->preview_due(r->watch->ctx, done);
    return done < 1 && clock_seconds() - r->drawn >= every;
}

static void show(void *ctx, const float *latent, int w, int h, double done)
{
    struct running *r = ctx;
    struct generator *g = r->g;
    struct image small;
    struct error err = {0};

    if (!is_due(r, done))
        return;
    bool ok = preview_draw(g->now.preview, &small, latent, w, h, &err);
    if (ok) {
        ok = r->watch->preview(r->watch->ctx, &small, &err);
        image_clear(&small);
    }
    r->drawn = clock_seconds();
    if (ok)
        return;
    generator_note(g, "no more previews: %s", err.text);
    preview_close(g->now.preview);
    g->now.preview = NULL;
}

static bool save_one(struct running *r, int i, const struct image *image,
                     const struct gen_request *round, struct error *err)
{
    struct generator *g = r->g;
    const struct generator_prepared *n = &g->now;
    const struct generator_infotext about = {.request = round,
                                             .model =
                                                 model_view(pipeline_model(g->loaded.pipeline)),
                                             .model_name = g->loaded.found.name,
                                             .model_hash = g->loaded.found.hash,
                                             .refiner = n->refiner_name,
                                             .requested = &n->sized.transcript.asked,
                                             .used = &n->sized.transcript.used,
                                             .loras = n->loras,
                                             .version = g->options.version,
                                             .user = n->task.job->user};
    const int number = r->batch * round->batch_size + i;
    const uint64_t seed = gen_request_seed(round, i);
    const struct settings *settings = g->options.settings;
    const struct image_format *format;
    char path[GENERATOR_PATH_BYTES];
    struct buf text;

    buf_init(&text, INFOTEXT_MAX_BYTES);
    bool ok = n->task.path(n->task.path_ctx, path, number, err) &&
              image_format_find_path(&format, path, err) &&
              generator_infotext_write(&text, &about, i, err) &&
              image_format_save(path, image,
                                &(struct image_write_options){
                                    .infotext = text.bytes,
                                    .quality = generator_result_quality(g, format->name),
                                    .avif_speed = (int)settings->avif_speed},
                                err) &&
              generator_result_add(&r->pictures, image, seed, text.bytes, err);
    buf_clear(&text);
    if (ok && r->watch && r->watch->saved)
        r->watch->saved(r->watch->ctx, number, path, seed);
    return ok;
}

static bool save(struct running *r, const struct gen_result *result,
                 const struct gen_request *round, struct error *err)
{
    for (int i = 0; i < result->n_images; i++) {
        look(r);
        if (r->cancel)
            return error_set(err, ERROR_CANCELLED, "stopped before picture %d was written",
                             r->batch * round->batch_size + i + 1);
        if (!save_one(r, i, &result->images[i], round, err))
            return false;
    }
    return true;
}

static void add_up(struct generator_result *out, const struct gen_result *one)
{
    for (int i = 0; i < PLAN_PHASES; i++)
        out->seconds[i] += one->seconds[i];
    out->total_seconds += one->total_seconds;
    out->steps = one->steps;
    out->relieved = out->relieved || one->relieved;
    out->finished = out->finished || one->finished;
    out->planned_peak_bytes = one->planned_peak_bytes;
    if (one->measured_peak_bytes > out->measured_peak_bytes)
        out->measured_peak_bytes = one->measured_peak_bytes;
    if (out->warnings.n == 0) /* each batch warns of the same */
        out->warnings = one->warnings;
}

static bool run_batch(struct running *r, struct generator_result *out, struct error *err)
{
    struct generator_prepared *n = &r->g->now;
    const struct gen_request round = gen_request_round(&n->sized.request, r->batch);
    const struct pipeline_input input = {.image = &n->input, .mask = n->has_mask ? &n->mask : NULL};
    const struct watch watch = {.ctx = r,
                                .progress = report,
                                .denoised = show,
                                .cancelled = is_cancelled,
                                .finish = is_enough,
                                .pressed = generator_memory_is_pressed};
    struct gen_result result;

    r->skip = false;
    if (!pipeline_run(&result, r->g->loaded.pipeline, &round, &n->sized.plan,
                      round.mode == GEN_IMG2IMG ? &input : NULL, &watch, err))
        return false;
    const double began = clock_seconds();
    bool ok = save(r, &result, &round, err);
    out->save_seconds += clock_seconds() - began;
    add_up(out, &result);
    pipeline_result_clear(&result);
    return ok;
}

static void remove_pictures(struct running *r)
{
    const struct generator_task *t = &r->g->now.task;
    char path[GENERATOR_PATH_BYTES];
    struct error ignored = {0};

    for (int i = 0; i < r->pictures.n; i++)
        if (t->path(t->path_ctx, path, i, &ignored))
            unlink(path);
}

/* Memory that the next job may have another use for. */
static void clean_up(struct generator *g)
{
    const struct memory_choice *c = &g->now.sized.transcript.choice;

    if (!c->pooling || c->on[MEMORY_CLEANUP_AFTER_GENERATION])
        generator_release(g);
    memory_reserve_set(g->options.reserve, 0);
    g->loaded.used = clock_seconds();
}

bool generator_run(struct generator *g, const struct generator_watch *watch,
                   struct generator_result *out, struct error *err)
{
    struct running r;
    bool ok = true;

    *out = (struct generator_result){0};
    if (!g->now.ready)
        return error_set(err, ERROR_INVALID, "nothing was prepared");
    if (g->now.task.job->mode == GEN_JOB_UPSCALE)
        return generator_upscale_run(g, watch, out, err);
    begin(&r, g, watch);
    for (; ok && r.batch < r.batches && !r.stop; r.batch++)
        ok = run_batch(&r, out, err);
    if (!ok)
        remove_pictures(&r);
    clean_up(g);
    ok = ok && generator_result_write(g, out, &r.pictures, err);
    out->n_pictures = r.pictures.n;
    json_decref(r.pictures.seeds);
    json_decref(r.pictures.infotexts);
    if (!ok)
        generator_result_clear(out);
    return ok;
}
