#include "app/cli_preview.h"

#include "image/image_format.h"
#include "model/model_vae_find.h"

#include <string.h>

/* The output's path without its ending. */
static void write_stem(char out[CLI_PREVIEW_PATH_BYTES], const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    snprintf(out, CLI_PREVIEW_PATH_BYTES, "%.*s", dot ? (int)(dot - path) : (int)strlen(path),
             path);
}

static bool open_decoder(struct cli_preview *p, const struct cli_options *o, const struct model *m,
                         const char *vae_path, struct backend *b, struct error *err)
{
    char found[MODEL_VAE_FIND_PATH_BYTES];
    struct error why = {0};
    bool own = vae_path && model_view(m)->vae.tiny;

    if (!own && !model_vae_find(found, "taesd", o->settings.vae_dir, model_view(m)->family, &why))
        return preview_open(&p->preview, m, NULL, b, err);
    if (preview_open(&p->preview, m, own ? vae_path : found, b, &why))
        return true;
    fprintf(p->to, "previews are estimates: %s\n", why.text);
    return preview_open(&p->preview, m, NULL, b, err);
}

bool cli_preview_open(struct cli_preview *out, const struct cli_options *o, const struct model *m,
                      const char *vae_path, const char *output, struct backend *b, FILE *to,
                      struct error *err)
{
    const struct image_format *format;

    *out = (struct cli_preview){.to = to, .file = o->preview, .every = (int)o->preview_every};
    if (!o->preview && !o->preview_every)
        return true;
    if (!out->every)
        out->every = 1;
    if (o->preview && !image_format_find_path(&format, o->preview, err))
        return error_prefix(err, "--preview");
    write_stem(out->stem, output);
    return open_decoder(out, o, m, vae_path, b, err);
}

size_t cli_preview_bytes(const struct cli_preview *p)
{
    return p->preview ? preview_bytes(p->preview) : 0;
}

static bool write_preview(struct cli_preview *p, const float *latent, int w, int h, int step,
                          struct error *err)
{
    char path[CLI_PREVIEW_PATH_BYTES + 40];
    struct image image;

    snprintf(path, sizeof path, "%s-preview-%d.png", p->stem, step);
    if (!preview_draw(p->preview, &image, latent, w, h, err))
        return false;
    bool ok = image_format_save(p->file ? p->file : path, &image,
                                &(struct image_write_options){.quality = 85}, err);
    image_clear(&image);
    return ok;
}

void cli_preview_show(struct cli_preview *p, const float *latent, int w, int h, double done)
{
    const int step = (int)(done * p->steps + 1e-6);
    struct error err = {0};

    /* The last step's is the picture itself, a moment later. */
    if (!p->preview || step < p->shown + p->every || step >= p->steps)
        return;
    p->shown = step;
    if (write_preview(p, latent, w, h, step, &err))
        return;
    fprintf(p->to, "no more previews: %s\n", err.text);
    cli_preview_close(p);
}

void cli_preview_close(struct cli_preview *p)
{
    preview_close(p->preview);
    p->preview = NULL;
}
