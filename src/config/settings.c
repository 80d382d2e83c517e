#include "config/settings.h"

#include "base/assert.h"
#include "base/parse.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

/* The field names its row, so a row cannot fill another field than the one it documents. */
#define FIELD(f) #f, offsetof(struct settings, f), sizeof((struct settings *)0)->f

const struct settings_row settings_rows[] = {
    {FIELD(model), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "model used when a request names none: a folder, a .safetensors file, or a name in "
     "models_dir; "
     "empty: the demo model"},
    {FIELD(models_dir), SETTINGS_TEXT, 0, 0, "models", "MODELS_DIR", NULL,
     "folder of models that may be called by their name"},
    {FIELD(tokenizer_dir), SETTINGS_TEXT, 0, 0, "", NULL, NULL,
     "folder with vocab.json and merges.txt for single-file models, which carry none"},
    {FIELD(isa), SETTINGS_TEXT, 0, 0, "auto", NULL, "auto portable avx2 avx512 amx neon",
     "instruction set of the CPU kernels; auto takes the best there is"},
    {FIELD(threads), SETTINGS_INT, 0, 256, "0", NULL, NULL,
     "compute threads; 0: one per physical core"},
    {FIELD(max_side), SETTINGS_INT, 64, 16384, "4096", NULL, NULL,
     "largest width or height of a request, pixels"},
    {FIELD(max_pixels), SETTINGS_INT, 4096, 67108864, "16777216", NULL, NULL,
     "largest width x height of a request"},
    {FIELD(max_steps), SETTINGS_INT, 1, 1000, "150", NULL, NULL, "most sampler steps of a request"},
    {FIELD(max_batch), SETTINGS_INT, 1, 64, "16", NULL, NULL, "most pictures of a request"},
    {FIELD(jpeg_quality), SETTINGS_INT, 1, 100, "85", NULL, NULL,
     "quality of JPEG files when a request names none"},
};
const size_t settings_row_count = sizeof settings_rows / sizeof settings_rows[0];

static bool same_key(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
            return false;
    return *a == *b;
}

const struct settings_row *settings_find(const char *key)
{
    for (size_t i = 0; i < settings_row_count; i++)
        if (same_key(settings_rows[i].key, key))
            return &settings_rows[i];
    return NULL;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *at = choices; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, value, len) == 0 && (at[len] == ' ' || !at[len]) && len)
            return true;
    }
    return false;
}

static bool set_row(struct settings *s, const struct settings_row *row, const char *value,
                    struct error *err)
{
    unsigned char *field = (unsigned char *)s + row->offset;

    if (row->kind == SETTINGS_INT) {
        int64_t number;
        if (!parse_int64(&number, value, row->min, row->max, err))
            return false;
        memcpy(field, &number, sizeof number);
        return true;
    }
    size_t len = strlen(value);
    if (len >= row->size)
        return error_set(err, ERROR_INVALID, "at most %zu bytes are allowed, not %zu",
                         row->size - 1, len);
    if (row->choices && !is_choice(row->choices, value))
        return error_set(err, ERROR_INVALID, "'%s' is none of: %s", value, row->choices);
    memcpy(field, value, len + 1);
    return true;
}

static void remember(struct settings_origins *origins, const struct settings_row *row,
                     enum settings_origin origin)
{
    size_t i = (size_t)(row - settings_rows);
    ASSERT(i < sizeof origins->from);
    origins->from[i] = (unsigned char)origin;
}

void settings_defaults(struct settings *s, struct settings_origins *origins)
{
    memset(s, 0, sizeof *s);
    memset(origins, 0, sizeof *origins);
    for (size_t i = 0; i < settings_row_count; i++) {
        struct error err = {0};
        bool row_is_sound = set_row(s, &settings_rows[i], settings_rows[i].fallback, &err);
        ASSERT(row_is_sound);
    }
}

/* DIFFUSIONAPI_ and the key in capitals. */
static void variable_name(char out[96], const struct settings_row *row)
{
    size_t len = (size_t)snprintf(out, 96, "DIFFUSIONAPI_%s", row->key);
    for (size_t i = 0; i < len && i < 95; i++)
        out[i] = (char)toupper((unsigned char)out[i]);
}

bool settings_from_environment(struct settings *s, struct settings_origins *origins,
                               const char *(*get)(const char *name), struct error *err)
{
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct settings_row *row = &settings_rows[i];
        char name[96];
        variable_name(name, row);
        const char *used = name, *value = get(name);
        if (!value && row->variable) {
            used = row->variable;
            value = get(used);
        }
        if (!value)
            continue;
        if (!set_row(s, row, value, err))
            return error_prefix(err, "%s", used);
        remember(origins, row, SETTINGS_VARIABLE);
    }
    return true;
}

bool settings_set(struct settings *s, struct settings_origins *origins, const char *key,
                  const char *value, struct error *err)
{
    const struct settings_row *row = settings_find(key);
    if (!row)
        return error_set(err, ERROR_INVALID, "there is no setting '%s'", key);
    if (!set_row(s, row, value, err))
        return error_prefix(err, "--%s", key);
    remember(origins, row, SETTINGS_FLAG);
    return true;
}

void settings_write(char *out, size_t room, const struct settings *s,
                    const struct settings_row *row)
{
    const unsigned char *field = (const unsigned char *)s + row->offset;
    int64_t number;

    if (row->kind == SETTINGS_TEXT) {
        snprintf(out, room, "%s", (const char *)field);
        return;
    }
    memcpy(&number, field, sizeof number);
    snprintf(out, room, "%" PRId64, number);
}

const char *settings_origin_name(enum settings_origin origin)
{
    static const char *const name[] = {"default", "environment", "flag"};
    return name[origin];
}

/* The key with '-' for '_', as people write flags. */
static void flag_name(char out[64], const struct settings_row *row)
{
    size_t len = (size_t)snprintf(out, 64, "%s", row->key);
    for (size_t i = 0; i < len && i < 63; i++)
        if (out[i] == '_')
            out[i] = '-';
}

void settings_print_manual(FILE *to)
{
    fputs(
        "# Settings\n\nPrinted from the table in `src/config/settings.c` by `diffusionapi settings "
        "--manual`; do not edit.\n\nA flag wins over the environment, the environment over the "
        "default.\n\n| flag | variable | default | allowed | meaning |\n| --- | --- | --- | --- | "
        "--- |\n",
        to);
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct settings_row *row = &settings_rows[i];
        char name[96], allowed[128], flag[64];
        variable_name(name, row);
        flag_name(flag, row);
        if (row->kind == SETTINGS_INT)
            snprintf(allowed, sizeof allowed, "%" PRId64 " to %" PRId64, row->min, row->max);
        else
            snprintf(allowed, sizeof allowed, "%s", row->choices ? row->choices : "text");
        fprintf(to, "| `--%s` | `%s`%s%s%s | %s | %s | %s |\n", flag, name,
                row->variable ? ", `" : "", row->variable ? row->variable : "",
                row->variable ? "`" : "", row->fallback[0] ? row->fallback : "(empty)", allowed,
                row->help);
    }
}
