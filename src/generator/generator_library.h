/* The library that settings describe. */
#ifndef GENERATOR_GENERATOR_LIBRARY_H
#define GENERATOR_GENERATOR_LIBRARY_H

#include "config/settings.h"
#include "library/library.h"

/* The folders of the settings, their labels and default model, the demo model where it can be
 * found; hashes are kept in cache/hashes.json in data_dir, where there is such a folder.  Nothing
 * of s is borrowed.  On true the caller owns *out. */
bool generator_library_open(struct library **out, const struct settings *s,
                            struct error *err) MUST_CHECK;

#endif
