#include "api/api_event.h"

#include <stdlib.h>
#include <string.h>

void api_event_add(struct buf *out, const char *name, json_t *data)
{
    char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;

    json_decref(data);
    if (!text) {
        out->failed = true;
        return;
    }
    buf_add(out, "event: ", 7);
    buf_add(out, name, strlen(name));
    buf_add(out, "\ndata: ", 7);
    buf_add(out, text, strlen(text));
    buf_add(out, "\n\n", 2);
    free(text);
}
