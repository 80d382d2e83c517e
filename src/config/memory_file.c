#include "config/memory_file.h"

#include "base/assert.h"
#include "base/file_map.h"
#include "base/json.h"
#include "base/json_place.h"
#include "config/settings_value.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 64 << 10, MAX_DEPTH = 4, VALUE_SHOWN = 40 };

static const char *const level_names[SETTINGS_LEVELS] = {"very_low", "low", "medium", "high",
                                                         "very_high"};

static const struct {
    const char *device, *setting;
} size_rows[] = {
    {"mps", "max_image_sizes_mps"},
    {"cuda", "max_image_sizes_cuda"},
    {"cpu", "max_image_sizes_cpu"},
};

/* The original program's key stands beside the name of its variable. */
static const struct {
    const char *key, *setting;
} optimization_rows[] = {
    {"enable_vae_tiling", "enable_vae_tiling"},
    {"enable_attention_slicing", "enable_attention_slicing"},
    {"enable_memory_efficient_attention", "enable_memory_efficient_attention"},
    {"enable_model_cpu_offload", "enable_cpu_offload"},
    {"enable_cpu_offload", "enable_cpu_offload"},
    {"enable_sequential_cpu_offload", "enable_sequential_cpu_offload"},
    {"reduce_vae_sample_size", "reduce_vae_sample_size"},
    {"force_cleanup_after_generation", "force_cleanup_after_generation"},
    {"cleanup_before_loading", "cleanup_before_loading"},
};

/* What is read, what it is read into, and the way from the root to the value at hand. */
struct reader {
    const char *name, *text;
    size_t n_bytes;
    struct settings s;
    struct settings_origins origins;
    size_t path[MAX_DEPTH];
    int depth;
};

static bool reject_at(const struct reader *r, bool of_key, struct error *err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* "FILE:LINE:COLUMN: " and what is wrong with the value at hand, or with its key. */
static bool reject_at(const struct reader *r, bool of_key, struct error *err, const char *fmt, ...)
{
    char what[360];
    va_list args;
    struct json_place at = json_place_find(r->text, r->n_bytes, r->path, r->depth, of_key);

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return error_set(err, ERROR_INVALID, "%.100s:%d:%d: %s", r->name, at.line, at.column, what);
}

static bool reject_value(const struct reader *r, const char *key, const json_t *value,
                         const char *allowed, struct error *err)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(10));
    const char *shown = text ? text : "?";
    reject_at(r, false, err, "'%s' is %.*s%s: it must be %s", key, VALUE_SHOWN, shown,
              strlen(shown) > VALUE_SHOWN ? "..." : "", allowed);
    free(text);
    return false;
}

static bool want_object(const struct reader *r, const char *key, const json_t *value,
                        struct error *err)
{
    return json_is_object(value) || reject_value(r, key, value, "an object", err);
}

static void *field_of(struct reader *r, const char *setting, size_t *row_number)
{
    const struct settings_row *row = settings_find(setting);
    ASSERT(row);
    *row_number = (size_t)(row - settings_rows);
    return (unsigned char *)&r->s + row->offset;
}

/* The level of that name, or SETTINGS_LEVELS with an error. */
static int find_level(const struct reader *r, const char *key, struct error *err)
{
    for (int i = 0; i < SETTINGS_LEVELS; i++)
        if (strcmp(level_names[i], key) == 0)
            return i;
    reject_at(r, true, err,
              "there is no memory level '%.40s'; there are very_low, low, medium, high, very_high",
              key);
    return SETTINGS_LEVELS;
}

static bool read_threshold(struct reader *r, const char *key, const json_t *value, double *out,
                           struct error *err)
{
    double gib = json_is_number(value) ? json_number_value(value) : -1;
    if (!(gib >= SETTINGS_THRESHOLD_MIN && gib <= SETTINGS_THRESHOLD_MAX))
        return reject_value(r, key, value, "a number of GiB from 0.001 to 1048576", err);
    *out = gib;
    return true;
}

/* The thresholds with the file's merged over the defaults must rise.  place[i] is the member's
 * number in the file, or -1. */
static bool check_rise(struct reader *r, const double *t, const int *place, struct error *err)
{
    int fall = settings_value_first_fall(t);
    if (fall == SETTINGS_LEVELS)
        return true;
    int blamed = place[fall] >= 0 ? fall : fall - 1; /* the defaults alone do rise */
    r->path[r->depth++] = (size_t)place[blamed];
    reject_at(r, false, err, "'%s' is %.10g: thresholds must rise, and '%s' is %.10g%s",
              level_names[blamed], t[blamed], level_names[fall == blamed ? fall - 1 : fall],
              t[fall == blamed ? fall - 1 : fall],
              place[fall == blamed ? fall - 1 : fall] >= 0 ? "" : " by default");
    r->depth--;
    return false;
}

static bool read_thresholds(struct reader *r, const json_t *object, struct error *err)
{
    int place[SETTINGS_LEVELS] = {-1, -1, -1, -1, -1}, number = 0;
    size_t row;
    double *t = field_of(r, "memory_thresholds", &row);
    const char *key;
    json_t *value;

    if (!want_object(r, "memory_thresholds", object, err))
        return false;
    json_object_foreach((json_t *)object, key, value)
    {
        r->path[r->depth++] = (size_t)number;
        int level = find_level(r, key, err);
        if (level == SETTINGS_LEVELS || !read_threshold(r, key, value, &t[level], err))
            return false;
        place[level] = number++;
        r->depth--;
        r->origins.from[row] = SETTINGS_FILE;
    }
    /* The last level has no bound of its own: it follows, unless the file says otherwise. */
    if (place[SETTINGS_LEVELS - 1] < 0 && t[SETTINGS_LEVELS - 1] < t[SETTINGS_LEVELS - 2])
        t[SETTINGS_LEVELS - 1] = t[SETTINGS_LEVELS - 2];
    return check_rise(r, t, place, err);
}

static bool read_side(struct reader *r, const char *key, const json_t *value, int64_t *out,
                      struct error *err)
{
    json_int_t side = json_is_integer(value) ? json_integer_value(value) : 0;
    if (side < SETTINGS_SIDE_MIN || side > SETTINGS_SIDE_MAX)
        return reject_value(r, key, value, "a whole number from 64 to 16384", err);
    *out = side;
    return true;
}

static bool read_size(struct reader *r, const char *key, const json_t *value,
                      struct settings_size *out, struct error *err)
{
    if (!json_is_array(value) || json_array_size(value) != 2)
        return reject_value(r, key, value, "[WIDTH, HEIGHT]", err);
    r->path[r->depth++] = 0;
    if (!read_side(r, key, json_array_get(value, 0), &out->width, err))
        return false;
    r->path[r->depth - 1] = 1;
    if (!read_side(r, key, json_array_get(value, 1), &out->height, err))
        return false;
    r->depth--;
    return true;
}

static bool read_device_sizes(struct reader *r, const char *device, const json_t *object,
                              struct error *err)
{
    const size_t n_rows = sizeof size_rows / sizeof size_rows[0];
    size_t i = 0, row, number = 0;
    const char *key;
    json_t *value;

    while (i < n_rows && strcmp(size_rows[i].device, device) != 0)
        i++;
    if (i == n_rows)
        return reject_at(r, true, err, "there is no device '%.40s'; there are mps, cuda, cpu",
                         device);
    if (!want_object(r, device, object, err))
        return false;
    struct settings_size *sizes = field_of(r, size_rows[i].setting, &row);
    json_object_foreach((json_t *)object, key, value)
    {
        r->path[r->depth++] = number++;
        int level = find_level(r, key, err);
        if (level == SETTINGS_LEVELS || !read_size(r, key, value, &sizes[level], err))
            return false;
        r->depth--;
        r->origins.from[row] = SETTINGS_FILE;
    }
    return true;
}

static bool read_sizes(struct reader *r, const json_t *object, struct error *err)
{
    size_t number = 0;
    const char *key;
    json_t *value;

    if (!want_object(r, "max_image_sizes", object, err))
        return false;
    json_object_foreach((json_t *)object, key, value)
    {
        r->path[r->depth++] = number++;
        if (!read_device_sizes(r, key, value, err))
            return false;
        r->depth--;
    }
    return true;
}

static bool read_optimization(struct reader *r, const char *key, const json_t *value,
                              struct error *err)
{
    const size_t n_rows = sizeof optimization_rows / sizeof optimization_rows[0];
    const char *word = json_is_string(value) ? json_string_value(value) : "";
    size_t i = 0, row;

    while (i < n_rows && strcmp(optimization_rows[i].key, key) != 0)
        i++;
    if (i == n_rows) {
        char list[320] = "";
        for (size_t k = 0, len = 0; k < n_rows; k++, len = strlen(list))
            snprintf(list + len, sizeof list - len, "%s%s", k ? ", " : "",
                     optimization_rows[k].key);
        return reject_at(r, true, err, "there is no optimization '%.30s'; there are %s", key, list);
    }
    if (!json_is_boolean(value) && strcmp(word, "auto") != 0)
        return reject_value(r, key, value, "true, false or \"auto\"", err);

    enum tri *t = field_of(r, optimization_rows[i].setting, &row);
    if (r->origins.from[row] == SETTINGS_FILE)
        return reject_at(r, true, err,
                         "'%s' is set twice: enable_model_cpu_offload and enable_cpu_offload are "
                         "one",
                         key);
    *t = !json_is_boolean(value) ? TRI_AUTO : json_is_true(value) ? TRI_TRUE : TRI_FALSE;
    r->origins.from[row] = SETTINGS_FILE;
    return true;
}

static bool read_optimizations(struct reader *r, const json_t *object, struct error *err)
{
    size_t number = 0;
    const char *key;
    json_t *value;

    if (!want_object(r, "optimizations", object, err))
        return false;
    json_object_foreach((json_t *)object, key, value)
    {
        r->path[r->depth++] = number++;
        if (!read_optimization(r, key, value, err))
            return false;
        r->depth--;
    }
    return true;
}

static bool read_root(struct reader *r, json_t *root, struct error *err)
{
    size_t number = 0;
    const char *key;
    json_t *value;

    json_object_foreach(root, key, value)
    {
        bool ok;
        r->path[r->depth++] = number++;
        if (strcmp(key, "memory_thresholds") == 0)
            ok = read_thresholds(r, value, err);
        else if (strcmp(key, "max_image_sizes") == 0)
            ok = read_sizes(r, value, err);
        else if (strcmp(key, "optimizations") == 0)
            ok = read_optimizations(r, value, err);
        else
            ok = reject_at(r, true, err,
                           "there is no key '%.40s'; there are memory_thresholds, "
                           "max_image_sizes, optimizations",
                           key);
        if (!ok)
            return false;
        r->depth--;
    }
    return true;
}

/* Rows that the environment or a flag has set keep their values. */
static void merge(struct settings *s, struct settings_origins *origins, const struct reader *r)
{
    for (size_t i = 0; i < settings_row_count; i++) {
        const struct settings_row *row = &settings_rows[i];
        if (r->origins.from[i] != SETTINGS_FILE || origins->from[i] != SETTINGS_DEFAULT)
            continue;
        memcpy((unsigned char *)s + row->offset, (const unsigned char *)&r->s + row->offset,
               row->size);
        origins->from[i] = SETTINGS_FILE;
    }
}

bool memory_file_read_bytes(struct settings *s, struct settings_origins *origins, const char *name,
                            const void *bytes, size_t n_bytes, struct error *err)
{
    struct reader r = {.name = name, .text = bytes, .n_bytes = n_bytes};
    struct json json;

    if (!json_read_bytes(&json, name, bytes, n_bytes, FILE_MAX_BYTES, err))
        return false;
    settings_defaults(&r.s, &r.origins);
    bool ok = read_root(&r, json.root, err);
    if (ok)
        merge(s, origins, &r);
    json_clear(&json);
    return ok;
}

bool memory_file_read(struct settings *s, struct settings_origins *origins, struct error *err)
{
    struct file_map map;

    if (!s->memory_config[0])
        return true;
    if (!file_map_open(&map, s->memory_config, err))
        return error_prefix(err, "%s",
                            origins->from[settings_find("memory_config") - settings_rows] ==
                                    SETTINGS_VARIABLE
                                ? "DIFFUSIONAPI_MEMORY_CONFIG"
                                : "--memory-config");
    bool ok = memory_file_read_bytes(s, origins, s->memory_config, map.bytes, map.n_bytes, err);
    file_map_close(&map);
    return ok;
}
