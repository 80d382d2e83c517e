#include "app/cli_info.h"

#include "image/image_info.h"

#include <string.h>

/* A terminal obeys control characters, and this text comes from a file of anybody's. */
static void print_text(FILE *to, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool second_set = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (second_set || (*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f) {
            putc('?', to);
            c += second_set;
        } else {
            putc(*c, to);
        }
    }
    putc('\n', to);
}

static void print_info(FILE *to, const char *path, const struct image_info *info)
{
    const struct image_probe *p = &info->picture;

    fprintf(to, "%s: %s, %dx%d%s", path, p->format->name, p->width, p->height,
            p->has_alpha ? ", may be transparent" : "");
    if (p->orientation > 1)
        fprintf(to, ", stored turned (%d)", p->orientation);
    fprintf(to, "%s\n", info->infotext || info->n_items ? "" : ", no texts");
    if (info->infotext) {
        putc('\n', to);
        print_text(to, info->infotext);
    }
    for (size_t i = 0; i < info->n_items; i++) {
        if (info->infotext && strcmp(info->items[i].value, info->infotext) == 0)
            continue;
        fprintf(to, "\n[%s]\n", info->items[i].key);
        print_text(to, info->items[i].value);
    }
}

static bool print_json(FILE *to, const struct image_info *info, struct error *err)
{
    json_t *object = image_info_json_native(info, err);
    bool ok = object != NULL;

    if (ok && json_dumpf(object, to, JSON_INDENT(2)) != 0)
        ok = error_set(err, ERROR_IO, "cannot write to standard output");
    if (ok)
        putc('\n', to);
    json_decref(object);
    return ok;
}

bool cli_info_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct image_info info;
    bool ok = image_info_load(&info, o->argument, err);

    if (ok && o->json)
        ok = print_json(to, &info, err);
    else if (ok)
        print_info(to, o->argument, &info);
    image_info_clear(&info);
    return ok;
}
