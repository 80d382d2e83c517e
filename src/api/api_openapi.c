#include "api/api_openapi.h"

#include "api/api_routes.h"
#include "api/api_schema.h"
#include "api/api_submit.h"
#include "api/sdapi_schema.h"

#include <stdio.h>
#include <string.h>

static json_t *own_field(const struct api_schema_field *f)
{
    json_t *out = json_pack("{s:s, s:s}", "type", f->type, "description", f->help);
    json_t *fallback = f->fallback ? json_loads(f->fallback, JSON_DECODE_ANY, NULL) : NULL;

    if (fallback)
        json_object_set_new(out, "default", fallback);
    if (!f->required)
        json_object_set_new(out, "nullable", json_true());
    return out;
}

static json_t *canonical_field(const struct gen_job_field *f, const struct gen_limits *limits)
{
    json_t *out = json_pack("{s:s, s:s, s:b}", "type", api_schema_type(f), "description", f->help,
                            "nullable", 1);
    bool has_range = f->kind == GEN_JOB_INT || f->kind == GEN_JOB_NUMBER || f->kind == GEN_JOB_SEED;

    if (has_range) {
        json_object_set_new(out, "minimum", json_real(f->min));
        json_object_set_new(out, "maximum", json_real(gen_job_field_max(f, limits)));
    }
    if (f->kind == GEN_JOB_CHOICE) {
        json_t *words = json_array();
        for (int i = 0; f->choices[i]; i++)
            json_array_append_new(words, json_string(f->choices[i]));
        json_object_set_new(out, "enum", words);
    }
    json_t *fallback = gen_job_field_default(f);
    if (fallback)
        json_object_set_new(out, "default", fallback);
    return out;
}

/* The object that holds the members of "hires" and the like, made where it is not there yet. */
static json_t *properties_of(json_t *properties, const char *object)
{
    json_t *holder = json_object_get(properties, object);

    if (!holder) {
        holder = json_pack("{s:s, s:b}", "type", "object", "nullable", 1);
        json_object_set_new(properties, object, holder);
    }
    json_t *members = json_object_get(holder, "properties");
    if (!members) {
        members = json_object();
        json_object_set_new(holder, "properties", members);
    }
    return members;
}

static json_t *schema_json(const struct api_schema *s, const struct gen_limits *limits)
{
    json_t *properties = json_object(), *required = json_array();

    for (const struct api_schema_field *f = s->own; f->key; f++) {
        json_object_set_new(properties, f->key, own_field(f));
        if (f->required)
            json_array_append_new(required, json_string(f->key));
    }
    for (const struct gen_job_field *f = gen_job_fields; f->key; f++) {
        if (!api_schema_has(s, f))
            continue;
        json_t *into = f->object ? properties_of(properties, f->object) : properties;
        json_object_set_new(into, f->key, canonical_field(f, limits));
    }
    json_t *out = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (json_array_size(required) > 0)
        json_object_set(out, "required", required);
    json_decref(required);
    return out;
}

static json_t *parameters_json(const char *path)
{
    json_t *out = json_array();

    for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{')) {
        size_t len = strcspn(at + 1, "}*");
        json_array_append_new(out, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", at + 1, len, "in",
                                             "path", "required", 1, "schema", "type", "string"));
    }
    return out;
}

/* How each family tells of errors: api_error.c. */
static const char *const errors[API_N_FAMILIES] = {
    [API_NATIVE] = "an error: {\"status\": \"error\", \"detail\": text}",
    [API_SDAPI] = "an error: {\"error\", \"detail\", \"body\", \"errors\"}, or a list as detail",
    [API_OPENAI] = "an error: {\"error\": {\"message\", \"type\", \"param\", \"code\"}}",
};

static json_t *operation_json(const struct api_route *r, enum api_family family)
{
    json_t *out = json_pack("{s:s, s:o, s:{s:{s:s}, s:{s:s}}}", "summary", r->summary, "parameters",
                            parameters_json(r->path), "responses", "200", "description", "done",
                            "default", "description", errors[family]);
    char reference[80];

    if (r->body) {
        snprintf(reference, sizeof reference, "#/components/schemas/%s", r->body);
        json_object_set_new(out, "requestBody",
                            json_pack("{s:b, s:{s:{s:{s:s}}}}", "required", 1, "content",
                                      "application/json", "schema", "$ref", reference));
    }
    if (r->flags & API_OPEN)
        json_object_set_new(out, "security", json_array());
    return out;
}

static const char *method_key(enum http_method method)
{
    return method == HTTP_POST     ? "post"
           : method == HTTP_DELETE ? "delete"
           : method == HTTP_PUT    ? "put"
           : method == HTTP_PATCH  ? "patch"
                                   : "get";
}

static json_t *paths_json(void)
{
    json_t *paths = json_object();

    for (const struct api_routes *all = api_routes_all; all->rows; all++)
        for (const struct api_route *r = all->rows; r->path && all->family != API_PAGE; r++) {
            json_t *path = json_object_get(paths, r->path);
            if (!path) {
                path = json_object();
                json_object_set_new(paths, r->path, path);
            }
            json_object_set_new(path, method_key(r->method), operation_json(r, all->family));
        }
    return paths;
}

json_t *api_openapi_make(const struct api *api)
{
    struct gen_limits limits = api_submit_limits(api);
    json_t *schemas = json_object();

    for (const struct api_schema *s = api_schema_all; s->name; s++)
        json_object_set_new(schemas, s->name, schema_json(s, &limits));
    sdapi_schema_add(schemas);
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o, s:{s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s, "
                     "s:s}}}, s:[{s:[]}, {s:[]}, {s:[]}]}",
                     "openapi", "3.0.3", "info", "title", "DiffusionAPI", "version", api->version,
                     "paths", paths_json(), "components", "schemas", schemas, "securitySchemes",
                     "bearer", "type", "http", "scheme", "bearer", "basic", "type", "http",
                     "scheme", "basic", "key", "type", "apiKey", "in", "header", "name",
                     "x-api-key", "security", "bearer", "basic", "key");
}

bool api_openapi_get(struct api_call *call, struct error *err)
{
    return api_reply_json(call, 200, api_openapi_make(call->api), err);
}
