#include "api/api_openapi.h"
#include "api/api_routes.h"
#include "api/api_schema.h"
#include "base/test.h"
#include "config/settings.h"

#include <string.h>

static json_t *document;

static void describes_every_route(void)
{
    json_t *paths = json_object_get(document, "paths");
    json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");

    for (const struct api_routes *all = api_routes_all; all->rows; all++)
        for (const struct api_route *r = all->rows; r->path; r++) {
            bool there = json_object_get(paths, r->path) != NULL;
            CHECK(there == (all->family != API_PAGE));
            CHECK(!r->body || json_object_get(schemas, r->body));
        }
    CHECK(json_object_get(json_object_get(paths, "/queue/{id}"), "delete"));
}

static void describes_fields_once(void)
{
    json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    json_t *fields = json_object_get(json_object_get(schemas, "Img2Img"), "properties");
    json_t *steps = json_object_get(fields, "steps");

    CHECK(strcmp(json_string_value(json_object_get(steps, "type")), "integer") == 0);
    CHECK(json_integer_value(json_object_get(steps, "default")) == 30);
    CHECK(json_object_get(fields, "image") && json_object_get(fields, "eta"));
    CHECK(!json_object_get(fields, "mode") && !json_object_get(fields, "upscaler_1"));
    json_t *hires = json_object_get(
        json_object_get(json_object_get(json_object_get(schemas, "Txt2Img"), "properties"),
                        "hires"),
        "properties");
    CHECK(json_object_get(hires, "denoising_strength"));
    for (const struct api_schema *s = api_schema_all; s->name; s++)
        CHECK(json_object_size(json_object_get(json_object_get(schemas, s->name), "properties")) >
              0);
}

int main(void)
{
    struct settings settings;
    struct settings_origins origins;
    struct api api = {.settings = &settings, .version = "1"};

    settings_defaults(&settings, &origins);
    document = api_openapi_make(&api);
    CHECK(document != NULL);
    describes_every_route();
    describes_fields_once();
    json_decref(document);
    return TEST_END();
}
