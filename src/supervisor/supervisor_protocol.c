#include "supervisor/supervisor_protocol.h"

#include <string.h>

json_t *supervisor_protocol_error(const struct error *err)
{
    json_t *text = json_string(err->text);

    /* A sentence may quote what is not UTF-8, and be cut within a character. */
    if (!text)
        text = json_string("the reason cannot be told: it is not UTF-8");
    return json_pack("{s:s, s:o}", "code", error_code_name(err->code), "text", text);
}

bool supervisor_protocol_read_error(struct error *err, const json_t *from)
{
    const char *text = supervisor_protocol_text(from, "text");

    if (!*text)
        return error_set(err, ERROR_IO, "the other side failed and did not say why");
    return error_set(err, error_code_find(supervisor_protocol_text(from, "code")), "%s", text);
}

bool supervisor_protocol_settings(json_t **out, const char *role, const struct settings *s,
                                  struct error *err)
{
    char value[SETTINGS_TEXT_BYTES];
    json_t *values = json_object();
    bool ok = values != NULL;

    for (size_t i = 0; ok && i < settings_row_count; i++) {
        if (settings_is_secret(&settings_rows[i]))
            continue; /* nobody but the server has a use for it */
        settings_write(value, sizeof value, s, &settings_rows[i]);
        ok = json_object_set_new(values, settings_rows[i].key, json_string(value)) == 0 ||
             error_set(err, ERROR_INVALID, "the setting %s is not UTF-8", settings_rows[i].key);
    }
    *out =
        ok ? json_pack("{s:s, s:s, s:o}", "op", "settings", "role", role, "values", values) : NULL;
    if (!ok)
        json_decref(values);
    else if (!*out)
        ok = error_set(err, ERROR_MEMORY, "no memory for the settings");
    return ok;
}

bool supervisor_protocol_read_settings(struct settings *s, const json_t *from, struct error *err)
{
    struct settings_origins origins;
    const char *key;
    json_t *value;

    settings_defaults(s, &origins);
    json_object_foreach(json_object_get(from, "values"), key, value)
    {
        if (!settings_set(s, &origins, key,
                          json_string_value(value) ? json_string_value(value) : "", err))
            return false;
    }
    return true;
}

const char *supervisor_protocol_text(const json_t *from, const char *key)
{
    const char *text = json_string_value(json_object_get(from, key));
    return text ? text : "";
}

double supervisor_protocol_number(const json_t *from, const char *key, double otherwise)
{
    const json_t *n = json_object_get(from, key);
    return json_is_number(n) ? json_number_value(n) : otherwise;
}
