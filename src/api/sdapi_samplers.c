#include "api/sdapi_samplers.h"

#include "sampler/sampler.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What clients show beside a scheduler's name; the order is that of enum schedule_kind. */
static const struct {
    double rho; /* below 0: it has none */
    bool needs_model;
    const char *alias;
} about[SCHEDULE_KINDS] = {
    [SCHEDULE_AUTOMATIC] = {-1, false, NULL},
    [SCHEDULE_UNIFORM] = {-1, true, NULL},
    [SCHEDULE_KARRAS] = {7, false, NULL},
    [SCHEDULE_EXPONENTIAL] = {-1, false, NULL},
    [SCHEDULE_POLYEXPONENTIAL] = {1, false, NULL},
    [SCHEDULE_SGM_UNIFORM] = {-1, true, "SGMUniform"},
    [SCHEDULE_KL_OPTIMAL] = {-1, false, NULL},
    [SCHEDULE_ALIGN_YOUR_STEPS] = {-1, false, NULL},
    [SCHEDULE_SIMPLE] = {-1, true, NULL},
    [SCHEDULE_NORMAL] = {-1, true, NULL},
    [SCHEDULE_DDIM] = {-1, true, NULL},
    [SCHEDULE_BETA] = {-1, true, NULL},
};

enum { NAME_BYTES = 40 };

/* "SGM Uniform": "sgm_uniform". */
static void internal_name(char out[NAME_BYTES], const char *label)
{
    snprintf(out, NAME_BYTES, "%s", label);
    for (char *c = out; *c; c++)
        *c = *c == ' ' ? '_' : (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
}

static const struct schedule *find_schedule(const char *name)
{
    for (int i = 0; i < SCHEDULE_KINDS; i++)
        if (about[i].alias && strcasecmp(about[i].alias, name) == 0)
            return &schedule_rows[i];
    return schedule_find(name);
}

/* By name, and with a schedule's alias behind it ("DPM++ 2M SGMUniform"). */
static const struct sampler *find_sampler(const char *name, enum schedule_kind *schedule)
{
    const struct sampler *s = sampler_find(name, schedule);
    size_t len = strlen(name);
    char front[80];

    for (int i = 0; !s && i < SCHEDULE_KINDS; i++) {
        size_t tail = about[i].alias ? strlen(about[i].alias) : len;
        if (len <= tail + 1 || len >= sizeof front ||
            strcasecmp(name + len - tail, about[i].alias) != 0)
            continue;
        snprintf(front, sizeof front, "%.*s", (int)(len - tail - 1), name);
        s = sampler_find(front, NULL);
        *schedule = (enum schedule_kind)i;
    }
    return s;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The scheduler that a field names: Automatic for "" and, with a warning, for what is unknown. */
static const struct schedule *read_schedule(struct sdapi_request *r, const char *name)
{
    const struct schedule *s = *name ? find_schedule(name) : NULL;

    if (!s && *name)
        json_array_append_new(
            r->warnings,
            json_sprintf("there is no scheduler '%.60s'; the sampler's own was taken", name));
    return s ? s : &schedule_rows[SCHEDULE_AUTOMATIC];
}

static bool write_pair(struct sdapi_request *r, struct api_call *call, json_t *to,
                       const char *sampler, const char *scheduler, struct error *err)
{
    enum schedule_kind suffix;
    const struct sampler *s = find_sampler(sampler, &suffix);
    const struct schedule *schedule = read_schedule(r, scheduler);

    if (!s) {
        call->error_status = 400;
        return error_set(err, ERROR_INVALID, "Sampler not found: '%.60s'", sampler);
    }
    if (schedule->kind == SCHEDULE_AUTOMATIC)
        schedule = &schedule_rows[suffix];
    return (json_object_set_new(to, "sampler_name", json_string(s->name)) == 0 &&
            json_object_set_new(to, "scheduler_type", json_string(schedule->name)) == 0) ||
           error_set(err, ERROR_MEMORY, "no memory for the request");
}

/* The second pass: what is not said stays the first pass's. */
static bool write_hires(struct sdapi_request *r, struct api_call *call, struct error *err)
{
    json_t *hires = json_object_get(r->canonical, "hires");
    const char *sampler = text_of(hires, "sampler_name");
    const char *scheduler = text_of(hires, "scheduler_type");

    if (!*sampler && *scheduler) {
        const struct schedule *s = read_schedule(r, scheduler);
        return json_object_set_new(hires, "scheduler_type", json_string(s->name)) == 0 ||
               error_set(err, ERROR_MEMORY, "no memory for the request");
    }
    return !*sampler || write_pair(r, call, hires, sampler, scheduler, err);
}

bool sdapi_samplers_write(struct sdapi_request *r, struct api_call *call, struct error *err)
{
    const char *name = text_of(r->parameters, "sampler_name");

    if (!*name)
        name = text_of(r->parameters, "sampler_index");
    return write_pair(r, call, r->canonical, name, text_of(r->parameters, "scheduler"), err) &&
           write_hires(r, call, err);
}

static json_t *sampler_row(const struct sampler *s)
{
    json_t *aliases = json_array(), *options = json_object();
    char scheduler[NAME_BYTES];

    for (int i = 0; i < SAMPLER_MAX_ALIASES && s->aliases[i]; i++)
        json_array_append_new(aliases, json_string(s->aliases[i]));
    if (s->schedule == SCHEDULE_KARRAS || s->schedule == SCHEDULE_EXPONENTIAL) {
        internal_name(scheduler, schedule_rows[s->schedule].name);
        json_object_set_new(options, "scheduler", json_string(scheduler));
    }
    return json_pack("{s:s, s:o, s:o}", "name", s->name, "aliases", aliases, "options", options);
}

bool sdapi_samplers_list(struct api_call *call, struct error *err)
{
    json_t *rows = json_array();
    bool ok = rows != NULL;

    for (const struct sampler *s = sampler_rows; ok && s->name; s++)
        ok = json_array_append_new(rows, sampler_row(s)) == 0;
    if (ok)
        return api_reply_json(call, 200, rows, err);
    json_decref(rows);
    return error_set(err, ERROR_MEMORY, "no memory for the list");
}

bool sdapi_samplers_list_schedulers(struct api_call *call, struct error *err)
{
    json_t *rows = json_array();
    bool ok = rows != NULL;
    char name[NAME_BYTES];

    for (int i = 0; ok && i < SCHEDULE_KINDS; i++) {
        const char *label = schedule_rows[i].name;
        internal_name(name, label);
        json_t *aliases = about[i].alias ? json_pack("[s]", about[i].alias) : json_null();
        ok = json_array_append_new(rows,
                                   json_pack("{s:s, s:s, s:o, s:f, s:b}", "name", name, "label",
                                             label, "aliases", aliases, "default_rho", about[i].rho,
                                             "need_inner_model", about[i].needs_model)) == 0;
    }
    if (ok)
        return api_reply_json(call, 200, rows, err);
    json_decref(rows);
    return error_set(err, ERROR_MEMORY, "no memory for the list");
}
