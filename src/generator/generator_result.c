/* What the queue keeps of a run, as JSON. */
#include "generator/generator_internal.h"
#include "generator/generator_memory.h"
#include "memory/process_memory.h"

#include <string.h>

/* Beyond these an infotext stands in its picture only. */
enum { INFOTEXTS_MAX_BYTES = 96 << 10 };

bool generator_result_add(struct generator_pictures *p, const struct image *image, uint64_t seed,
                          const char *infotext, struct error *err)
{
    p->text_bytes += strlen(infotext);
    p->n++;
    p->width = image->width;
    p->height = image->height;
    if (json_array_append_new(p->seeds, json_integer((json_int_t)seed)) == 0 &&
        json_array_append_new(
            p->infotexts, json_string(p->text_bytes <= INFOTEXTS_MAX_BYTES ? infotext : "")) == 0)
        return true;
    return error_set(err, ERROR_MEMORY, "no memory for the result");
}

int generator_result_quality(const struct generator *g, const char *format)
{
    const int asked = g->now.task.job->quality;
    return asked > 0 ? asked : settings_quality(g->options.settings, format);
}

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *adjusted_from(const struct transcript *t)
{
    if (t->asked.width == t->used.width && t->asked.height == t->used.height)
        return json_null();
    return json_pack("{s:i, s:i}", "width", t->asked.width, "height", t->asked.height);
}

static json_t *memory_json(const struct generator *g, const struct generator_result *r)
{
    const struct generator_prepared *n = &g->now;
    const struct gen_plan *plan = &n->sized.plan;
    const struct transcript *t = &n->sized.transcript;
    struct process_memory after = {0};
    struct error ignored = {0};

    if (!process_memory_read(&after, &ignored))
        after.resident_bytes = 0;
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:b, s:I, s:I, s:o}", "level",
                     levels_name(t->level), "device", machine_device_name(t->machine.device),
                     "budget_bytes", (json_int_t)plan->limit_bytes, "planned_peak_bytes",
                     (json_int_t)r->planned_peak_bytes, "measured_peak_bytes",
                     r->measured_peak_bytes ? json_integer((json_int_t)r->measured_peak_bytes)
                                            : json_null(),
                     "levers", generator_memory_levers_json(plan), "size_adjusted_from",
                     adjusted_from(t), "relieved", r->relieved, "resident_before_bytes",
                     (json_int_t)n->resident_bytes, "resident_after_bytes",
                     (json_int_t)after.resident_bytes, "log", generator_memory_log_json(&n->sized));
}

static json_t *phases_json(const struct generator *g, const struct generator_result *r)
{
    json_t *all = json_object();

    for (int i = 0; i < PLAN_PHASES; i++)
        if (g->now.sized.plan.phase[i].used && i != PLAN_IMAGE_ENCODE)
            json_object_set_new(all, gen_plan_phase_name((enum plan_phase)i),
                                json_real(r->seconds[i]));
    json_object_set_new(all, gen_plan_phase_name(PLAN_IMAGE_ENCODE), json_real(r->save_seconds));
    return all;
}

static void add_warnings(json_t *all, const struct gen_warnings *w)
{
    for (int i = 0; i < w->n; i++) {
        json_t *text = json_string(w->text[i]);
        /* One that was cut within a character. */
        json_array_append_new(all, text ? text : json_string("a warning that is not UTF-8"));
    }
}

bool generator_result_write(struct generator *g, struct generator_result *r,
                            const struct generator_pictures *p, struct error *err)
{
    const struct generator_prepared *n = &g->now;
    const struct transcript *t = &n->sized.transcript;
    const struct gen_job *j = n->task.job;
    const struct model_info *info = model_view(pipeline_model(g->loaded.pipeline));
    json_t *warnings = json_array();

    add_warnings(warnings, &n->notes);
    add_warnings(warnings, &r->warnings);
    r->json = json_pack(
        "{s:i, s:i, s:i, s:i, s:I, s:O, s:O, s:s, s:o, s:i, s:f, s:i, s:b, s:{s:s, s:o}, s:o, "
        "s:o, s:o, s:o}",
        "width", p->width, "height", p->height, "requested_width", t->asked.width,
        "requested_height", t->asked.height, "seed", (json_int_t)n->sized.request.seed, "seeds",
        p->seeds, "infotexts", p->infotexts, "file_type", gen_job_file_types[j->file_type],
        "quality",
        j->file_type == GEN_JOB_PNG
            ? json_null()
            : json_integer(generator_result_quality(g, gen_job_file_types[j->file_type])),
        "images", p->n, "generation_time_sec", r->total_seconds + r->save_seconds, "steps",
        r->steps, "finished_early", r->finished, "model", "name",
        generator_model_name(&g->loaded.found, info), "hash", text_or_null(g->loaded.found.hash),
        "vae", text_or_null(info->vae_name), "memory", memory_json(g, r), "warnings", warnings,
        "phases", phases_json(g, r));
    return r->json || error_set(err, ERROR_MEMORY, "the result cannot be written as JSON");
}

void generator_result_clear(struct generator_result *r)
{
    json_decref(r->json);
    *r = (struct generator_result){0};
}
