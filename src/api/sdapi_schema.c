#include "api/sdapi_schema.h"

#include "api/sdapi_fields.h"

static json_t *field_json(const struct sdapi_field *f)
{
    static const char *const types[] = {
        [SDAPI_TEXT] = "string",  [SDAPI_INT] = "integer", [SDAPI_NUMBER] = "number",
        [SDAPI_BOOL] = "boolean", [SDAPI_LIST] = "array",  [SDAPI_OBJECT] = "object"};
    json_t *out = json_pack("{s:s, s:b, s:o}", "type", types[f->kind], "nullable", 1, "default",
                            json_loads(f->fallback, JSON_DECODE_ANY, NULL));

    if (f->kind == SDAPI_LIST)
        json_object_set_new(out, "items", json_object());
    if (f->no_effect)
        json_object_set_new(out, "description", json_string(f->no_effect));
    return out;
}

void sdapi_schema_add(json_t *schemas)
{
    static const struct {
        const char *name;
        enum sdapi_endpoint endpoint;
    } row[] = {{SDAPI_SCHEMA_TXT2IMG, SDAPI_TXT2IMG},
               {SDAPI_SCHEMA_IMG2IMG, SDAPI_IMG2IMG},
               {SDAPI_SCHEMA_EXTRA, SDAPI_EXTRA},
               {SDAPI_SCHEMA_EXTRA_BATCH, SDAPI_EXTRA_BATCH}};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        json_t *properties = json_object();
        for (const struct sdapi_field *f = sdapi_fields; f->key; f++)
            if (f->endpoints & 1u << row[i].endpoint)
                json_object_set_new(properties, f->key, field_json(f));
        json_object_set_new(schemas, row[i].name,
                            json_pack("{s:s, s:o}", "type", "object", "properties", properties));
    }
}
