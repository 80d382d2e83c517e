/* The description of the API for people: one page of HTML without outside resources. */
#ifndef API_API_DOCS_H
#define API_API_DOCS_H

#include "api/api.h"

/* Handler of GET /docs. */
bool api_docs_get(struct api_call *call, struct error *err);

#endif
