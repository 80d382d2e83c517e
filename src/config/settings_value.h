/* One setting's value between text and the field that holds it: one function pair for all kinds.
 *
 * Knows rows, not the table. */
#ifndef CONFIG_SETTINGS_VALUE_H
#define CONFIG_SETTINGS_VALUE_H

#include "config/settings.h"

/* Reads text into row's field.  ERROR_INVALID says what was written and what is allowed; the field
 * is left alone then. */
bool settings_value_parse(void *field, const struct settings_row *row, const char *text,
                          struct error *err) MUST_CHECK;

/* The value as one would write it; out has room bytes. */
void settings_value_write(char *out, size_t room, const struct settings_row *row,
                          const void *field);

/* What the row takes, for the manual: "0 to 256", "true false auto". */
void settings_value_allowed(char *out, size_t room, const struct settings_row *row);

/* Thresholds must rise; the last may equal the one before.  Returns the place of the first that
 * does not, SETTINGS_LEVELS when all do. */
int settings_value_first_fall(const double thresholds[SETTINGS_LEVELS]);

#endif
