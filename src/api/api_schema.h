/* What bodies of requests hold: the fields that /openapi.json and /docs list. */
#ifndef API_API_SCHEMA_H
#define API_API_SCHEMA_H

#include "api/api.h"
#include "request/gen_job.h"

/* A field that is no field of the canonical request, or not in the same shape. */
struct api_schema_field {
    const char *key;
    const char *type;     /* "string", "number", "integer", "boolean", "array", "object" */
    const char *fallback; /* its default as JSON; NULL: it has none */
    bool required;
    const char *help;
};

struct api_schema {
    const char *name;
    unsigned modes; /* fields of the canonical request that have an effect: 1 << enum gen_job_mode;
                       0: none of them */
    const struct api_schema_field *own; /* up to the row whose key is NULL; these come first and
                                           stand for canonical fields of the same key */
};

/* Up to the row whose name is NULL. */
extern const struct api_schema api_schema_all[];

const struct api_schema *api_schema_find(const char *name); /* NULL: none */

/* Is the canonical field listed here, and not by a row of `own`? */
bool api_schema_has(const struct api_schema *s, const struct gen_job_field *f);

/* "integer", "string", ...: of a canonical field. */
const char *api_schema_type(const struct gen_job_field *f);

#endif
