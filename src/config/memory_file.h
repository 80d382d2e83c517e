/* The JSON file of memory settings: thresholds, largest sizes, optimizations.
 *
 *   { "memory_thresholds": {"very_low": 6, "low": 12},
 *     "max_image_sizes": {"mps": {"very_low": [512, 512]}},
 *     "optimizations": {"enable_vae_tiling": true} }
 *
 * Every part may be missing and is merged over the defaults.  Unknown keys, wrong types, thresholds
 * that do not rise and sides below 64 are errors that begin with FILE:LINE:COLUMN. */
#ifndef CONFIG_MEMORY_FILE_H
#define CONFIG_MEMORY_FILE_H

#include "config/settings.h"

/* Reads the file that the setting memory_config names, where it names one.  Call it after the
 * environment and the flags are read: only rows that still have their default take a value from
 * the file.  On false the settings are as before. */
bool memory_file_read(struct settings *s, struct settings_origins *origins,
                      struct error *err) MUST_CHECK;

/* The same from bytes; name is how errors call them. */
bool memory_file_read_bytes(struct settings *s, struct settings_origins *origins, const char *name,
                            const void *bytes, size_t n_bytes, struct error *err) MUST_CHECK;

#endif
