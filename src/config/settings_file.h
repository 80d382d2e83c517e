/* The configuration file: a JSON object with settings by their keys.
 *
 *   { "port": 8080, "models_dir": "/srv/models", "log_prompts": false, "memory_budget": "6GiB",
 *     "max_image_sizes_cpu": ["512x512", "512x512", "768x768", "1024x1024", "1024x1024"] }
 *
 * Unknown keys and values out of range are errors that begin with FILE:LINE:COLUMN. */
#ifndef CONFIG_SETTINGS_FILE_H
#define CONFIG_SETTINGS_FILE_H

#include "config/settings.h"

/* Call it after the environment and the flags were read and before memory_file_read: only rows that
 * still have their default take a value from the file.  On false the settings are as before. */
bool settings_file_read(struct settings *s, struct settings_origins *origins, const char *path,
                        struct error *err) MUST_CHECK;

/* The same from bytes; name is how errors call them. */
bool settings_file_read_bytes(struct settings *s, struct settings_origins *origins,
                              const char *name, const void *bytes, size_t n_bytes,
                              struct error *err) MUST_CHECK;

#endif
