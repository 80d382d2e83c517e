/* A file in memory, read-only, page by page as it is touched.
 *
 * A file that another program shortens while it is mapped cannot be guarded against: touching the
 * lost pages stops the process, as with every mapping. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include "base/error.h"

#include <stddef.h>

struct file_map {
    const unsigned char *bytes; /* page aligned; NULL when closed */
    size_t n_bytes;             /* at least 1 while open */
};

/* Maps the whole file.  Refuses what is not a regular file, and empty files (ERROR_CORRUPT).
 * Errors begin with path. */
bool file_map_open(struct file_map *out, const char *path, struct error *err) MUST_CHECK;

/* Gives the pages of some bytes of a mapping back to the system; touching them reads the file
 * again. */
void file_map_forget(const void *bytes, size_t n_bytes);

/* Accepts a zeroed map. */
void file_map_close(struct file_map *map);

#endif
