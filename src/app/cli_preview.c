#include "app/cli_preview.h"

#include "image/image_format.h"

#include <string.h>

/* The output's path without its ending. */
static void write_stem(char out[CLI_PREVIEW_PATH_BYTES], const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    snprintf(out, CLI_PREVIEW_PATH_BYTES, "%.*s", dot ? (int)(dot - path) : (int)strlen(path),
             path);
}

bool cli_preview_init(struct cli_preview *out, const struct cli_options *o, const char *output,
                      struct error *err)
{
    const struct image_format *format;

    *out = (struct cli_preview){.file = o->preview, .every = (int)o->preview_every};
    if (!o->preview && !o->preview_every)
        return true;
    if (!out->every)
        out->every = 1;
    if (o->preview && !image_format_find_path(&format, o->preview, err))
        return error_prefix(err, "--preview");
    write_stem(out->stem, output);
    return true;
}

bool cli_preview_is_due(struct cli_preview *p, double done)
{
    const int step = (int)(done * p->steps + 1e-6);

    /* The last step's is the picture itself, a moment later. */
    if (!p->every || step < p->shown + p->every || step >= p->steps)
        return false;
    p->shown = step;
    return true;
}

bool cli_preview_write(const struct cli_preview *p, const struct image *small, struct error *err)
{
    char path[CLI_PREVIEW_PATH_BYTES + 40];

    snprintf(path, sizeof path, "%s-preview-%d.png", p->stem, p->shown);
    return image_format_save(p->file ? p->file : path, small,
                             &(struct image_write_options){.quality = 85}, err);
}
