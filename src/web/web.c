#include "web/web.h"

#include "web/web_files.h"

#include <string.h>

const struct web_file *web_find(const char *path)
{
    if (!*path)
        path = "index.html";
    for (size_t i = 0; i < web_files_n; i++)
        if (strcmp(web_files[i].path, path) == 0)
            return &web_files[i];
    return NULL;
}

const struct web_file *web_at(size_t n)
{
    return n < web_files_n ? &web_files[n] : NULL;
}
