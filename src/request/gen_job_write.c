/* A job to canonical JSON, field by field along the table. */
#include "base/assert.h"
#include "request/gen_job.h"
#include "request/gen_job_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_same(const struct gen_job_field *f, union gen_job_value a, union gen_job_value b)
{
    if (f->kind == GEN_JOB_TEXT)
        return strcmp(a.text, b.text) == 0;
    if (f->kind == GEN_JOB_NUMBER)
        return a.number == b.number;
    return memcmp(&a, &b, sizeof a) == 0; /* gen_job_get zeroes what a kind does not fill */
}

/* What lies beside the range stands for "not said". */
json_t *gen_job_write_value(const struct gen_job_field *f, union gen_job_value v)
{
    switch (f->kind) {
    case GEN_JOB_TEXT:
        return json_string(v.text);
    case GEN_JOB_INT:
        return v.whole < f->min ? json_null() : json_integer(v.whole);
    case GEN_JOB_NUMBER:
        return v.number < f->min ? json_null() : json_real(v.number);
    case GEN_JOB_BOOL:
        return json_boolean(v.on);
    case GEN_JOB_CHOICE:
        return v.whole < 0 ? json_null() : json_string(f->choices[v.whole]);
    case GEN_JOB_SEED:
        return v.seed < 0 ? json_null() : json_integer(v.seed);
    case GEN_JOB_SAMPLER:
        return v.sampler ? json_string(v.sampler->name) : json_null();
    case GEN_JOB_SCHEDULER:
        return v.schedule ? json_string(v.schedule->name) : json_null();
    case GEN_JOB_LORAS:
        break;
    }
    return json_array();
}

static json_t *loras_json(const struct gen_job *j)
{
    json_t *all = json_array();

    for (int i = 0; i < j->n_loras; i++)
        json_array_append_new(
            all, json_pack("{s:s, s:f}", "name", j->loras[i].name, "scale", j->loras[i].scale));
    return all;
}

/* The object that holds the field; made when its first member comes. */
static json_t *home_of(json_t *root, const struct gen_job_field *f)
{
    if (!f->object)
        return root;
    if (!json_object_get(root, f->object))
        json_object_set_new(root, f->object, json_object());
    return json_object_get(root, f->object);
}

bool gen_job_write(json_t **out, const struct gen_job *j, struct error *err)
{
    const struct gen_job defaults = gen_job_defaults();
    json_t *root = json_object();
    bool ok =
        root && json_object_set_new(root, "mode", json_string(gen_job_mode_names[j->mode])) == 0;

    for (const struct gen_job_field *f = gen_job_fields; ok && f->key; f++) {
        if (f->kind == GEN_JOB_LORAS) {
            ok = j->n_loras == 0 || json_object_set_new(root, f->key, loras_json(j)) == 0;
            continue;
        }
        const union gen_job_value v = gen_job_get(j, f);
        if (!is_same(f, v, gen_job_get(&defaults, f)))
            ok = json_object_set_new(home_of(root, f), f->key, gen_job_write_value(f, v)) == 0;
    }
    if (!ok) {
        json_decref(root);
        return error_set(err, ERROR_MEMORY, "a request cannot be written as JSON");
    }
    *out = root;
    return true;
}

bool gen_job_write_text(char **out, const struct gen_job *j, struct error *err)
{
    json_t *root;

    if (!gen_job_write(&root, j, err))
        return false;
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (!text)
        return error_set(err, ERROR_MEMORY, "no memory for a request");
    if (strlen(text) >= GEN_JOB_MAX_BYTES) {
        free(text);
        return error_set(err, ERROR_LIMIT, "the request has more than %d bytes as JSON",
                         GEN_JOB_MAX_BYTES);
    }
    *out = text;
    return true;
}
