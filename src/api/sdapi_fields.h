/* The fields of AUTOMATIC1111's requests: one table for txt2img, img2img and the extras.
 *
 * Every field may be absent or null and then has its default; numbers and booleans may come as
 * text, as pydantic takes them.  Unknown fields are ignored, because clients send whatever they
 * have, their own address and password included. */
#ifndef API_SDAPI_FIELDS_H
#define API_SDAPI_FIELDS_H

#include "api/api.h"

enum sdapi_endpoint { SDAPI_TXT2IMG, SDAPI_IMG2IMG, SDAPI_EXTRA, SDAPI_EXTRA_BATCH };

enum sdapi_kind { SDAPI_TEXT, SDAPI_INT, SDAPI_NUMBER, SDAPI_BOOL, SDAPI_LIST, SDAPI_OBJECT };

enum sdapi_flags {
    SDAPI_POSITIVE = 1, /* 0 and less are as good as not said */
    SDAPI_NATURAL = 2,  /* less than 0 is */
    SDAPI_NAME = 4,     /* "", "None" and "Use same ..." are */
    SDAPI_AS_BOOL = 8,  /* a number that means yes or no */
};

struct sdapi_field {
    const char *key;
    enum sdapi_kind kind;
    const char *fallback;  /* as JSON */
    unsigned endpoints;    /* 1 << enum sdapi_endpoint */
    const char *object;    /* of the canonical request that canonical is a member of; or NULL */
    const char *canonical; /* key in the canonical request; NULL: is read by itself */
    unsigned flags;        /* enum sdapi_flags */
    const char *no_effect; /* the warning when it is said; NULL: it has one */
    const char *harmless;  /* as JSON: the value that needs no warning, beside null, 0 and "" */
};

/* The table; a row whose key is NULL ends it. */
extern const struct sdapi_field sdapi_fields[];

/* The request with all defaults, as answers show it under "parameters"; the caller owns *out.
 * A value of another type fails with 422 and names the field. */
bool sdapi_fields_read(json_t **out, struct api_call *call, const json_t *body,
                       enum sdapi_endpoint endpoint, struct error *err) MUST_CHECK;

/* Copies what has a place in the canonical request from parameters, and appends warnings about what
 * has no effect here. */
bool sdapi_fields_write(json_t *canonical, const json_t *parameters, enum sdapi_endpoint endpoint,
                        json_t *warnings, struct error *err) MUST_CHECK;

/* A value as its kind takes it (a number as text becomes a number), or NULL.  The caller owns the
 * reference. */
json_t *sdapi_fields_coerce(enum sdapi_kind kind, json_t *value);
const char *sdapi_fields_kind_name(enum sdapi_kind kind);

/* The canonical reader's message begins with the canonical field; says it with this API's name
 * instead, and gives that name.  NULL where it is no field of this API. */
const char *sdapi_fields_rename(struct error *err, enum sdapi_endpoint endpoint);

/* Neither null, false, 0, "", [] nor {}. */
bool sdapi_fields_is_said(const json_t *value);

#endif
