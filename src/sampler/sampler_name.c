#include "sampler/sampler_name.h"

#include <string.h>

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '_' ? ' ' : c;
}

bool sampler_name_same(const char *text, size_t len, const char *name)
{
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (fold(text[i]) != fold(name[i]))
            return false;
    return true;
}

void sampler_name_list(char *list, size_t cap, const char *name)
{
    const size_t have = strlen(list), len = strlen(name), gap = have ? 2 : 0;
    if (have + gap + len >= cap)
        return;
    memcpy(list + have, ", ", gap);
    memcpy(list + have + gap, name, len + 1);
}
