/* Server-sent events: one name, one line of JSON. */
#ifndef API_API_EVENT_H
#define API_API_EVENT_H

#include "base/buf.h"

#include <jansson.h>

/* Appends an event and lets go of data; NULL, a lack of memory, makes the buffer fail. */
void api_event_add(struct buf *out, const char *name, json_t *data);

#endif
