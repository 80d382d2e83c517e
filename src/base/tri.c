#include "base/tri.h"

#include "base/assert.h"
#include "base/parse.h"

#include <strings.h>

bool tri_parse(enum tri *out, const char *text, struct error *err)
{
    bool on;
    if (strcasecmp(text, "auto") == 0) {
        *out = TRI_AUTO;
        return true;
    }
    if (!parse_bool(&on, text, err))
        return error_set(err, ERROR_INVALID, "'%.60s' is none of: true, false, auto", text);
    *out = on ? TRI_TRUE : TRI_FALSE;
    return true;
}

const char *tri_name(enum tri t)
{
    static const char *const name[] = {"auto", "false", "true"};
    ASSERT(t <= TRI_TRUE);
    return name[t];
}
