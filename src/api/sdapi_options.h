/* The options of AUTOMATIC1111's API: what GET shows, what POST changes for everybody until the
 * server ends, and what override_settings changes for one request.
 *
 * One table.  Whatever GET shows POST takes again: clients send the whole object back with one
 * value changed.  Options without a meaning here keep what they were set to, or are fixed. */
#ifndef API_SDAPI_OPTIONS_H
#define API_SDAPI_OPTIONS_H

#include "api/sdapi_fields.h"

struct sdapi_options; /* what POST has set; thread-safe, one owner */

bool sdapi_options_open(struct sdapi_options **out, struct error *err) MUST_CHECK;
void sdapi_options_close(struct sdapi_options *o); /* accepts NULL */

/* Handlers of GET and POST /sdapi/v1/options. */
bool sdapi_options_get(struct api_call *call, struct error *err);
bool sdapi_options_post(struct api_call *call, struct error *err);

/* What POST has set, with the members of override (may be NULL) above it, checked; unknown ones are
 * left out.  keep: the override stays for everybody.  The caller owns *out. */
bool sdapi_options_merge(json_t **out, struct api_call *call, const json_t *override, bool keep,
                         struct error *err) MUST_CHECK;

/* Writes merged options into the canonical request of that endpoint. */
bool sdapi_options_apply(json_t *canonical, const json_t *options, enum sdapi_endpoint endpoint,
                         struct error *err) MUST_CHECK;

/* Warns of members of override that change nothing here. */
void sdapi_options_warn(const json_t *override, json_t *warnings);

#endif
