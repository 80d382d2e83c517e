#include "config/settings_file.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/json_place.h"
#include "config/settings_value.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 256 << 10, VALUE_BYTES = SETTINGS_TEXT_BYTES + 64 };

/* A value as one would write it behind a flag; false for what cannot be one. */
static bool as_text(char out[VALUE_BYTES], const json_t *value)
{
    size_t used = 0, i;
    json_t *one;

    if (json_is_boolean(value)) {
        snprintf(out, VALUE_BYTES, "%s", json_is_true(value) ? "true" : "false");
        return true;
    }
    if (json_is_integer(value)) {
        snprintf(out, VALUE_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return true;
    }
    if (json_is_real(value)) {
        snprintf(out, VALUE_BYTES, "%.15g", json_real_value(value));
        return true;
    }
    if (json_is_string(value)) {
        int n = snprintf(out, VALUE_BYTES, "%s", json_string_value(value));
        return n >= 0 && n < VALUE_BYTES &&
               strlen(json_string_value(value)) == json_string_length(value);
    }
    if (!json_is_array(value))
        return false;
    out[0] = 0;
    json_array_foreach((json_t *)value, i, one)
    {
        char word[VALUE_BYTES];
        if (json_is_array(one) || !as_text(word, one))
            return false;
        int n = snprintf(out + used, VALUE_BYTES - used, "%s%s", i ? " " : "", word);
        if (n < 0 || (size_t)n >= VALUE_BYTES - used)
            return false;
        used += (size_t)n;
    }
    return true;
}

static bool reject_at(const char *name, const void *text, size_t n_bytes, size_t number,
                      bool of_key, struct error *err)
{
    struct json_place at = json_place_find(text, n_bytes, &number, 1, of_key);
    err->code = ERROR_INVALID;
    return error_prefix(err, "%.200s:%d:%d", name, at.line, at.column);
}

bool settings_file_read_bytes(struct settings *s, struct settings_origins *origins,
                              const char *name, const void *bytes, size_t n_bytes,
                              struct error *err)
{
    struct settings merged = *s;
    struct settings_origins from = *origins;
    struct json json;
    size_t number = 0;
    const char *key;
    json_t *value;
    bool ok = true;

    if (!json_read_bytes(&json, name, bytes, n_bytes, FILE_MAX_BYTES, err))
        return false;
    json_object_foreach(json.root, key, value)
    {
        const struct settings_row *row = settings_find(key);
        char text[VALUE_BYTES];
        struct settings checked = merged; /* what is overridden is checked all the same */
        void *field = row ? (unsigned char *)&checked + row->offset : NULL;

        if (!row) {
            error_set(err, ERROR_INVALID, "there is no setting '%.60s'", key);
            ok = reject_at(name, bytes, n_bytes, number, true, err);
        } else if (!as_text(text, value)) {
            error_set(err, ERROR_INVALID, "'%.60s' has to be a text, a number, true or false", key);
            ok = reject_at(name, bytes, n_bytes, number, false, err);
        } else if (!settings_value_parse(field, row, text, err)) {
            error_prefix(err, "'%.60s'", key);
            ok = reject_at(name, bytes, n_bytes, number, false, err);
        }
        if (!ok)
            break;
        if (from.from[row - settings_rows] == SETTINGS_DEFAULT) {
            merged = checked;
            from.from[row - settings_rows] = SETTINGS_FILE;
        }
        number++;
    }
    json_clear(&json);
    if (ok) {
        *s = merged;
        *origins = from;
    }
    return ok;
}

bool settings_file_read(struct settings *s, struct settings_origins *origins, const char *path,
                        struct error *err)
{
    char *bytes;
    size_t n_bytes;

    if (!fs_read(&bytes, &n_bytes, path, FILE_MAX_BYTES, err))
        return error_prefix(err, "--config");
    bool ok = settings_file_read_bytes(s, origins, path, bytes, n_bytes, err);
    free(bytes);
    return ok;
}
