#include "api/openai_fields.h"

#include "base/parse.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum kind { TEXT, CHOICE, WHOLE, YES_NO };

struct field {
    const char *key;
    enum kind kind;
    size_t offset;
    int min, max, fallback; /* WHOLE; TEXT: max is the longest, bytes */
    const char *choices;    /* CHOICE: separated by blanks */
};

enum { NAME_BYTES = 1024, PROMPT_BYTES = 32 << 10, SIDE_MIN = 64 };

#define AT(f) offsetof(struct openai_fields, f)

static const struct field fields[] = {
    {"prompt", TEXT, AT(prompt), 0, PROMPT_BYTES, 0, NULL},
    {"model", TEXT, AT(model), 0, NAME_BYTES, 0, NULL},
    {"n", WHOLE, AT(n), 1, 10, 1, NULL},
    {"size", TEXT, AT(size), 0, 32, 0, NULL},
    {"quality", CHOICE, AT(quality), 0, 0, 0, "standard hd low medium high auto"},
    {"style", CHOICE, AT(style), 0, 0, 0, "vivid natural"},
    {"response_format", CHOICE, AT(response_format), 0, 0, 0, "url b64_json"},
    {"output_format", CHOICE, AT(output_format), 0, 0, 0, "png jpeg webp"},
    {"output_compression", WHOLE, AT(output_compression), 0, 100, 100, NULL},
    {"background", CHOICE, AT(background), 0, 0, 0, "transparent opaque auto"},
    {"moderation", CHOICE, AT(moderation), 0, 0, 0, "low auto"},
    {"input_fidelity", CHOICE, AT(input_fidelity), 0, 0, 0, "high low"},
    {"stream", YES_NO, AT(stream), 0, 0, 0, NULL},
    {"partial_images", WHOLE, AT(partial_images), 0, 3, 0, NULL},
    {"user", TEXT, AT(user), 0, NAME_BYTES, 0, NULL},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

bool openai_fields_is_known(const char *key)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0)
            return true;
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t want = strlen(text);

    for (const char *at = choices; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        if (len == want && strncmp(at, text, len) == 0)
            return true;
        at += len;
    }
    return false;
}

static bool reject(struct api_call *call, const struct field *f, const json_t *value,
                   const char *allowed, struct error *err)
{
    char text[80];

    if (json_is_string(value))
        snprintf(text, sizeof text, "'%.60s'", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, sizeof text, "%g", json_real_value(value));
    else
        snprintf(text, sizeof text, "%s",
                 json_is_boolean(value)  ? json_is_true(value) ? "true" : "false"
                 : json_is_object(value) ? "an object"
                                         : "an array");
    return api_fail(call, err, 400, f->key, "Invalid value for '%s': %s; allowed: %s.", f->key,
                    text, allowed);
}

static bool read_text(struct openai_fields *out, struct api_call *call, const struct field *f,
                      const json_t *value, struct error *err)
{
    const char *text = json_string_value(value);

    if (!text)
        return reject(call, f, value, f->kind == CHOICE ? f->choices : "a text", err);
    if (f->kind == CHOICE && *text && !is_choice(f->choices, text))
        return reject(call, f, value, f->choices, err);
    if (f->kind == TEXT && json_string_length(value) > (size_t)f->max)
        return api_fail(call, err, 400, f->key, "'%s' has %zu bytes; at most %d are allowed.",
                        f->key, json_string_length(value), f->max);
    memcpy((char *)out + f->offset, &text, sizeof text);
    return true;
}

static bool read_whole(struct openai_fields *out, struct api_call *call, const struct field *f,
                       const json_t *value, bool is_form, struct error *err)
{
    int64_t n = 0;
    struct error ignored;
    bool ok = json_is_integer(value);

    if (ok)
        n = json_integer_value(value);
    else if (is_form && json_is_string(value))
        ok = parse_int64(&n, json_string_value(value), f->min, f->max, &ignored);
    if (!ok || n < f->min || n > f->max) {
        char allowed[64];
        snprintf(allowed, sizeof allowed, "whole numbers from %d to %d", f->min, f->max);
        return reject(call, f, value, allowed, err);
    }
    memcpy((char *)out + f->offset, &(int){(int)n}, sizeof(int));
    return true;
}

static bool read_yes_no(struct openai_fields *out, struct api_call *call, const struct field *f,
                        const json_t *value, bool is_form, struct error *err)
{
    const char *text = is_form ? json_string_value(value) : NULL;
    bool yes =
        json_is_true(value) || (text && (strcmp(text, "true") == 0 || strcmp(text, "True") == 0));
    bool no = json_is_false(value) ||
              (text && (strcmp(text, "false") == 0 || strcmp(text, "False") == 0));

    if (!yes && !no)
        return reject(call, f, value, "true, false", err);
    memcpy((char *)out + f->offset, &yes, sizeof yes);
    return true;
}

bool openai_fields_read(struct openai_fields *out, struct api_call *call, const json_t *body,
                        bool is_form, struct error *err)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        const json_t *value = json_object_get(body, f->key);
        bool given = value && !json_is_null(value);
        bool ok = true;

        switch (f->kind) {
        case TEXT:
        case CHOICE:
            memcpy((char *)out + f->offset, &(const char *){""}, sizeof(const char *));
            ok = !given || read_text(out, call, f, value, err);
            break;
        case WHOLE:
            memcpy((char *)out + f->offset, &f->fallback, sizeof(int));
            ok = !given || read_whole(out, call, f, value, is_form, err);
            break;
        case YES_NO:
            ok = !given || read_yes_no(out, call, f, value, is_form, err);
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

static int rounded(int64_t side)
{
    return (int)((side + 4) / 8 * 8);
}

bool openai_fields_size(int *width, int *height, struct api_call *call, const char *size,
                        int max_side, struct error *err)
{
    const char *x = strchr(size, 'x');
    char text[16] = "";
    int64_t w = 0, h = 0;
    struct error ignored;

    *width = *height = 0;
    if (!*size || strcmp(size, "auto") == 0)
        return true;
    if (x && x - size < (ptrdiff_t)sizeof text)
        snprintf(text, sizeof text, "%.*s", (int)(x - size), size);
    if (!x || !parse_int64(&w, text, SIDE_MIN, max_side, &ignored) ||
        !parse_int64(&h, x + 1, SIDE_MIN, max_side, &ignored))
        return api_fail(call, err, 400, "size",
                        "Invalid value for 'size': '%.40s'; allowed: auto, or WIDTHxHEIGHT with "
                        "sides from %d to %d pixels, like 512x512.",
                        size, SIDE_MIN, max_side);
    *width = rounded(w) > max_side ? max_side / 8 * 8 : rounded(w);
    *height = rounded(h) > max_side ? max_side / 8 * 8 : rounded(h);
    return true;
}
