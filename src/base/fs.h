/* Whole files and folders: written so that a crash or a full disk never leaves half a file. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include "base/error.h"

#include <stddef.h>

/* Replaces path by a file of exactly these bytes: a temporary file in the same folder, synced,
 * renamed and the folder synced.  On failure what was at path before is still there and nothing is
 * left beside it.  Refuses to replace anything but a regular file. */
bool fs_write(const char *path, const void *bytes, size_t len, struct error *err) MUST_CHECK;

/* Reads a whole file of at most max_bytes; more is ERROR_LIMIT, a folder ERROR_INVALID.  The caller
 * frees *out, which has a 0 behind its *len bytes. */
bool fs_read(char **out, size_t *len, const char *path, size_t max_bytes,
             struct error *err) MUST_CHECK;

/* Writes folder/name into out, room bytes with the final 0.  An empty folder means the current one;
 * an absolute name is taken as it is. */
bool fs_join(char *out, size_t room, const char *folder, const char *name,
             struct error *err) MUST_CHECK;

/* Makes the folder and those above it that are missing; one that exists is fine. */
bool fs_make_folders(const char *path, struct error *err) MUST_CHECK;

#endif
