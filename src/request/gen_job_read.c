/* Canonical JSON to a job, field by field along the table. */
#include "base/assert.h"
#include "request/gen_job.h"
#include "request/gen_job_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FIELDS = 128, SHOWN_BYTES = 80, LIST_BYTES = 900 };

struct reading {
    struct gen_job *job;
    const struct gen_limits *limits;
    bool given[MAX_FIELDS];       /* by row of the table */
    enum schedule_kind suffix[2]; /* behind the sampler's name, and hires' */
};

/* The value as it came, cut where it is long. */
static void show(char out[SHOWN_BYTES], const json_t *v)
{
    char text[SHOWN_BYTES];
    size_t len = json_dumpb(v, text, sizeof text - 4, JSON_COMPACT | JSON_ENCODE_ANY);

    if (len > sizeof text - 4) {
        snprintf(out, SHOWN_BYTES, "%s",
                 json_is_string(v)   ? "a long text"
                 : json_is_object(v) ? "an object"
                                     : "a long list");
        return;
    }
    snprintf(out, SHOWN_BYTES, "%.*s", (int)len, text);
}

/* "steps is a whole number from 1 to 150, not \"many\"". */
static bool reject(const struct gen_job_field *f, const json_t *v, const char *allowed,
                   struct error *err)
{
    char label[GEN_JOB_LABEL_BYTES], shown[SHOWN_BYTES];

    gen_job_label(label, f);
    show(shown, v);
    return error_set(err, ERROR_INVALID, "%s is %s, not %s", label, allowed, shown);
}

static bool read_text(union gen_job_value *out, const struct gen_job_field *f, const json_t *v,
                      const struct gen_limits *limits, struct error *err)
{
    const double max = gen_job_field_max(f, limits);
    char allowed[96];

    if (!json_is_string(v))
        return reject(f, v, "a text", err);
    if ((double)json_string_length(v) > max) {
        char label[GEN_JOB_LABEL_BYTES];
        gen_job_label(label, f);
        snprintf(allowed, sizeof allowed, "has %zu bytes; at most %.0f are allowed",
                 json_string_length(v), max);
        return error_set(err, ERROR_INVALID, "%s %s", label, allowed);
    }
    out->text = json_string_value(v);
    return true;
}

static bool read_number(double *out, const struct gen_job_field *f, const json_t *v, bool whole,
                        const struct gen_limits *limits, struct error *err)
{
    const double max = gen_job_field_max(f, limits), n = json_number_value(v);
    char allowed[120], of[40] = "";

    if (f->multiple)
        snprintf(of, sizeof of, ", a multiple of %d", f->multiple);
    snprintf(allowed, sizeof allowed, "a %snumber from %.10g to %.10g%s", whole ? "whole " : "",
             f->min, max, of);
    if (!json_is_number(v) || !(n >= f->min && n <= max) || (whole && n != floor(n)) ||
        (f->multiple && fmod(n, f->multiple) != 0))
        return reject(f, v, allowed, err);
    *out = n;
    return true;
}

static bool read_choice(union gen_job_value *out, const struct gen_job_field *f, const json_t *v,
                        struct error *err)
{
    char allowed[200] = "one of ";
    const char *word = json_string_value(v);

    for (int i = 0; f->choices[i]; i++) {
        size_t have = strlen(allowed);
        if (word && strcmp(word, f->choices[i]) == 0) {
            out->whole = i;
            return true;
        }
        snprintf(allowed + have, sizeof allowed - have, "%s%s", i ? ", " : "", f->choices[i]);
    }
    return reject(f, v, allowed, err);
}

static bool read_lora(struct gen_job_lora *out, const struct gen_job_field *f, json_t *v,
                      struct error *err)
{
    const json_t *scale = json_object_get(v, "scale");
    const json_t *name = json_is_string(v) ? v : json_object_get(v, "name");
    const char *key;
    json_t *member;

    json_object_foreach(v, key, member)
    {
        if (strcmp(key, "name") != 0 && strcmp(key, "scale") != 0)
            return error_set(err, ERROR_INVALID,
                             "a LoRA has no field '%.60s'; it has name and scale", key);
    }
    if (!json_is_string(name) || json_string_length(name) == 0 ||
        json_string_length(name) >= GEN_JOB_NAME_BYTES)
        return reject(f, v, "a list of {\"name\": text, \"scale\": number}", err);
    const double n = json_is_null(scale) || !scale ? 1 : json_number_value(scale);
    if ((scale && !json_is_null(scale) && !json_is_number(scale)) || !(n >= f->min && n <= f->max))
        return error_set(err, ERROR_INVALID, "the scale of LoRA '%.100s' is a number from %g to %g",
                         json_string_value(name), f->min, f->max);
    *out = (struct gen_job_lora){.name = json_string_value(name), .scale = n};
    return true;
}

static bool read_loras(struct gen_job *j, const struct gen_job_field *f, json_t *v,
                       struct error *err)
{
    if (!json_is_array(v))
        return reject(f, v, "a list of {\"name\": text, \"scale\": number}", err);
    if (json_array_size(v) > GEN_MAX_LORAS)
        return error_set(err, ERROR_INVALID, "loras has %zu entries; at most %d are allowed",
                         json_array_size(v), GEN_MAX_LORAS);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!read_lora(&j->loras[i], f, json_array_get(v, i), err))
            return false;
    j->n_loras = (int)json_array_size(v);
    return true;
}

static bool read_sampler(struct reading *r, union gen_job_value *out, const struct gen_job_field *f,
                         const json_t *v, struct error *err)
{
    const char *name = json_string_value(v);

    if (!name)
        return reject(f, v, "the name of a sampler", err);
    out->sampler = sampler_find(name, &r->suffix[f->object != NULL]);
    if (out->sampler)
        return true;
    sampler_unknown(err, name);
    return error_prefix(err, "%s", f->key);
}

static bool read_schedule(union gen_job_value *out, const struct gen_job_field *f, const json_t *v,
                          struct error *err)
{
    const char *name = json_string_value(v);

    if (!name)
        return reject(f, v, "the name of a scheduler", err);
    out->schedule = schedule_find(name);
    if (out->schedule)
        return true;
    schedule_unknown(err, name);
    return error_prefix(err, "%s", f->key);
}

static bool read_value(struct reading *r, const struct gen_job_field *f, json_t *v,
                       struct error *err)
{
    union gen_job_value value;
    double n = 0;
    bool ok = false;

    memset(&value, 0, sizeof value);
    switch (f->kind) {
    case GEN_JOB_TEXT:
        ok = read_text(&value, f, v, r->limits, err);
        break;
    case GEN_JOB_INT:
        ok = read_number(&n, f, v, true, r->limits, err);
        value.whole = (int)n;
        break;
    case GEN_JOB_NUMBER:
        ok = read_number(&n, f, v, false, r->limits, err);
        value.number = n;
        break;
    case GEN_JOB_SEED:
        ok = read_number(&n, f, v, true, r->limits, err);
        value.seed = (int64_t)n;
        break;
    case GEN_JOB_BOOL:
        ok = json_is_boolean(v) || reject(f, v, "true or false", err);
        value.on = json_is_true(v);
        break;
    case GEN_JOB_CHOICE:
        ok = read_choice(&value, f, v, err);
        break;
    case GEN_JOB_SAMPLER:
        ok = read_sampler(r, &value, f, v, err);
        break;
    case GEN_JOB_SCHEDULER:
        ok = read_schedule(&value, f, v, err);
        break;
    case GEN_JOB_LORAS:
        return read_loras(r->job, f, v, err);
    }
    if (ok)
        gen_job_set(r->job, f, value);
    return ok;
}

static bool is_called(const struct gen_job_field *f, const char *key)
{
    bool is = strcmp(f->key, key) == 0;

    for (int i = 0; i < GEN_JOB_MAX_ALIASES && f->aliases[i]; i++)
        is = is || strcmp(f->aliases[i], key) == 0;
    return is;
}

static bool is_of(const struct gen_job_field *f, const char *object)
{
    return object ? f->object && strcmp(f->object, object) == 0 : !f->object;
}

static const struct gen_job_field *find(const char *object, const char *key)
{
    for (const struct gen_job_field *f = gen_job_fields; f->key; f++)
        if (is_of(f, object) && is_called(f, key))
            return f;
    return NULL;
}

static bool is_object(const char *key)
{
    for (const struct gen_job_field *f = gen_job_fields; f->key; f++)
        if (f->object && strcmp(f->object, key) == 0)
            return true;
    return false;
}

static void add(char list[LIST_BYTES], const char *word)
{
    size_t have = strlen(list);
    snprintf(list + have, LIST_BYTES - have, "%s%s", have ? ", " : "", word);
}

static bool unknown(const char *object, const char *key, struct error *err)
{
    char list[LIST_BYTES] = "";
    const char *last = "";

    for (const struct gen_job_field *f = gen_job_fields; f->key; f++) {
        if (is_of(f, object))
            add(list, f->key);
        else if (!object && strcmp(last, f->object) != 0)
            add(list, last = f->object);
    }
    return error_set(err, ERROR_INVALID, "%s%s has no field '%.60s'; it has %s",
                     object ? "" : "a request", object ? object : "", key, list);
}

static bool read_members(struct reading *r, const char *object, json_t *from, struct error *err)
{
    const char *key;
    json_t *v;

    json_object_foreach(from, key, v)
    {
        const struct gen_job_field *f = find(object, key);
        if (!f && !object && is_object(key)) {
            if (!json_is_object(v) && !json_is_null(v)) {
                char shown[SHOWN_BYTES];
                show(shown, v);
                return error_set(err, ERROR_INVALID, "%s is an object, not %s", key, shown);
            }
            if (!read_members(r, key, v, err))
                return false;
            continue;
        }
        if (!f)
            return unknown(object, key, err);
        if (json_is_null(v))
            continue;
        const size_t row = (size_t)(f - gen_job_fields);
        ASSERT(row < MAX_FIELDS);
        if (r->given[row])
            return error_set(err, ERROR_INVALID, "%s is said twice, once as '%.60s'", f->key, key);
        r->given[row] = true;
        if (!read_value(r, f, v, err))
            return false;
    }
    return true;
}

/* "DPM++ 2M Karras" says the scheduler too, where no field of its own does. */
static void use_suffix(struct reading *r)
{
    const struct schedule **schedules[2] = {&r->job->schedule, &r->job->hires.schedule};

    for (const struct gen_job_field *f = gen_job_fields; f->key; f++)
        if (f->kind == GEN_JOB_SCHEDULER && !r->given[f - gen_job_fields] &&
            r->suffix[f->object != NULL] != SCHEDULE_AUTOMATIC)
            *schedules[f->object != NULL] = &schedule_rows[r->suffix[f->object != NULL]];
}

bool gen_job_read(struct gen_job *out, json_t *root, const struct gen_limits *limits,
                  struct error *err)
{
    struct gen_job j = gen_job_defaults();
    struct reading r = {.job = &j, .limits = limits};

    *out = (struct gen_job){0};
    if (!json_is_object(root))
        return error_set(err, ERROR_INVALID, "a request is a JSON object");
    if (!read_members(&r, NULL, root, err))
        return false;
    use_suffix(&r);
    if (!gen_job_check(&j, limits, err))
        return false;
    j.document = json_incref(root);
    *out = j;
    return true;
}

bool gen_job_read_text(struct gen_job *out, const char *text, size_t len,
                       const struct gen_limits *limits, struct error *err)
{
    struct json json;

    *out = (struct gen_job){0};
    if (!json_read_bytes(&json, "request", text, len, GEN_JOB_MAX_BYTES, err)) {
        if (err->code == ERROR_CORRUPT)
            err->code = ERROR_INVALID; /* no file of ours: somebody asked for it */
        return false;
    }
    bool ok = gen_job_read(out, json.root, limits, err);
    json_clear(&json);
    return ok;
}
