#include "base/json.h"

#include "base/file_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jansson's own limit is 2048 levels of recursion; ours is checked before it starts. */
static bool check_nesting(const char *name, const char *text, size_t n, struct error *err)
{
    int depth = 0, line = 1;
    size_t line_start = 0;
    bool in_string = false;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '\n') {
            line++;
            line_start = i + 1;
        }
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_NESTING_MAX)
                return error_set(err, ERROR_CORRUPT, "%s:%d:%zu: nested deeper than %d levels",
                                 name, line, i - line_start + 1, JSON_NESTING_MAX);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* Says which key stands twice: it ends where the parser stopped. */
static bool reject_duplicate(const char *name, const char *bytes, const json_error_t *problem,
                             struct error *err)
{
    size_t end = problem->position > 0 ? (size_t)problem->position - 1 : 0, begin = end;

    while (begin > 0 && (bytes[begin - 1] != '"' || (begin > 1 && bytes[begin - 2] == '\\')))
        begin--;
    size_t len = end - begin < 200 ? end - begin : 200;
    return error_set(err, ERROR_CORRUPT, "%s:%d:%d: duplicate object key '%.*s'", name,
                     problem->line, problem->column, (int)len, bytes + begin);
}

bool json_read_bytes(struct json *out, const char *name, const void *bytes, size_t n_bytes,
                     size_t max_bytes, struct error *err)
{
    *out = (struct json){.file = name};
    if (n_bytes > max_bytes)
        return error_set(err, ERROR_LIMIT, "%s: %zu bytes of JSON, the limit is %zu", name, n_bytes,
                         max_bytes);
    if (n_bytes == 0)
        return error_set(err, ERROR_CORRUPT, "%s: no JSON: it is empty", name);
    if (!check_nesting(name, bytes, n_bytes, err))
        return false;

    json_error_t problem;
    json_t *root = json_loadb(bytes, n_bytes, JSON_REJECT_DUPLICATES, &problem);
    if (!root && json_error_code(&problem) == json_error_duplicate_key &&
        (size_t)problem.position <= n_bytes)
        return reject_duplicate(name, bytes, &problem, err);
    if (!root)
        return json_error_code(&problem) == json_error_out_of_memory
                   ? error_set(err, ERROR_MEMORY, "%s: no memory for its JSON", name)
                   : error_set(err, ERROR_CORRUPT, "%s:%d:%d: %s", name, problem.line,
                               problem.column, problem.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, ERROR_CORRUPT, "%s:1:1: not a JSON object", name);
    }
    out->root = root;
    return true;
}

bool json_read_file(struct json *out, const char *path, size_t max_bytes, struct error *err)
{
    struct file_map map;

    *out = (struct json){0};
    if (!file_map_open(&map, path, err))
        return false;
    bool ok = json_read_bytes(out, path, map.bytes, map.n_bytes, max_bytes, err);
    file_map_close(&map);
    return ok;
}

void json_clear(struct json *j)
{
    json_decref(j->root);
    *j = (struct json){0};
}

bool json_has(const struct json *j, const char *key)
{
    const json_t *v = json_object_get(j->root, key);
    return v && !json_is_null(v);
}

bool json_reject(const struct json *j, const char *key, const char *what, struct error *err)
{
    const json_t *v = json_object_get(j->root, key);
    if (!v)
        return error_set(err, ERROR_CORRUPT, "%s: '%s' is missing: %s", j->file, key, what);

    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(7));
    const char *value = text ? text : "?";
    error_set(err, ERROR_CORRUPT, "%s: '%s' is %.80s%s: %s", j->file, key, value,
              strlen(value) > 80 ? "..." : "", what);
    free(text);
    return false;
}

static bool reject_int(const struct json *j, const char *key, int min, int max, struct error *err)
{
    char what[80];
    snprintf(what, sizeof what, "it must be a whole number from %d to %d", min, max);
    return json_reject(j, key, what, err);
}

static bool int_in_range(const json_t *v, int min, int max)
{
    return json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max;
}

bool json_want_int(const struct json *j, const char *key, int min, int max, int *out,
                   struct error *err)
{
    const json_t *v = json_object_get(j->root, key);
    if (!int_in_range(v, min, max))
        return reject_int(j, key, min, max, err);
    *out = (int)json_integer_value(v);
    return true;
}

bool json_want_float(const struct json *j, const char *key, float min, float max, float *out,
                     struct error *err)
{
    const json_t *v = json_object_get(j->root, key);
    double number = json_number_value(v);
    /* Compared as float: a float limit such as 0.1 would refuse the double 0.1 otherwise. */
    if (!json_is_number(v) || (float)number < min || (float)number > max) {
        char what[80];
        snprintf(what, sizeof what, "it must be a number from %g to %g", (double)min, (double)max);
        return json_reject(j, key, what, err);
    }
    *out = (float)number;
    return true;
}

bool json_want_bool(const struct json *j, const char *key, bool *out, struct error *err)
{
    const json_t *v = json_object_get(j->root, key);
    if (!json_is_boolean(v))
        return json_reject(j, key, "it must be true or false", err);
    *out = json_is_true(v);
    return true;
}

bool json_want_string(const struct json *j, const char *key, const char **out, struct error *err)
{
    const json_t *v = json_object_get(j->root, key);
    if (!json_is_string(v))
        return json_reject(j, key, "it must be a text", err);
    *out = json_string_value(v);
    return true;
}

bool json_want_array(const struct json *j, const char *key, size_t max_n, const json_t **out,
                     struct error *err)
{
    const json_t *v = json_object_get(j->root, key);
    if (!json_is_array(v) || json_array_size(v) < 1 || json_array_size(v) > max_n) {
        char what[80];
        snprintf(what, sizeof what, "it must be a list of 1 to %zu elements", max_n);
        return json_reject(j, key, what, err);
    }
    *out = v;
    return true;
}

bool json_want_ints(const struct json *j, const char *key, int min, int max, int *out, int max_n,
                    int *n, struct error *err)
{
    const json_t *list;
    if (!json_want_array(j, key, (size_t)max_n, &list, err))
        return false;
    int count = (int)json_array_size(list);
    for (int i = 0; i < count; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!int_in_range(v, min, max))
            return reject_int(j, key, min, max, err);
        out[i] = (int)json_integer_value(v);
    }
    *n = count;
    return true;
}

bool json_maybe_int(const struct json *j, const char *key, int min, int max, int fallback, int *out,
                    struct error *err)
{
    *out = fallback;
    return !json_has(j, key) || json_want_int(j, key, min, max, out, err);
}

bool json_maybe_float(const struct json *j, const char *key, float min, float max, float fallback,
                      float *out, struct error *err)
{
    *out = fallback;
    return !json_has(j, key) || json_want_float(j, key, min, max, out, err);
}

bool json_maybe_bool(const struct json *j, const char *key, bool fallback, bool *out,
                     struct error *err)
{
    *out = fallback;
    return !json_has(j, key) || json_want_bool(j, key, out, err);
}

bool json_maybe_string(const struct json *j, const char *key, const char *fallback,
                       const char **out, struct error *err)
{
    *out = fallback;
    return !json_has(j, key) || json_want_string(j, key, out, err);
}
