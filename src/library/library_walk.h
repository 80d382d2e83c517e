/* Walks one folder and finds what may be an entry: files by their endings, model folders by what is
 * in them, Hugging Face's models--org--name with the revision that counts.
 *
 * Opens no file of weights.  Leaves the folder through no link, and says so of links that would. */
#ifndef LIBRARY_LIBRARY_WALK_H
#define LIBRARY_LIBRARY_WALK_H

#include "library/library.h"

enum {
    LIBRARY_WALK_PATH_BYTES = 4096,
    LIBRARY_WALK_MAX_NAMES = 200000, /* names looked at, in all folders below one */
};

struct library_walk_found {
    char *file_name;     /* owned; below the folder */
    char *path;          /* owned; absolute */
    const char *problem; /* static; NULL: none yet */
    bool is_folder;
    uint64_t bytes;
    int64_t modified_ns; /* of the newest file, since 1970 */
    uint64_t stamp;      /* of names, sizes, times and inodes: another file has another */
};

/* Zero is the empty list. */
struct library_walk_list {
    struct library_walk_found *found; /* owned */
    size_t n, cap;
    bool cut; /* there is more than the limits allow */
};

/* A missing folder is an empty list.  hf_cache may be "".  The caller clears *out, also on false
 * (ERROR_MEMORY, or ERROR_IO when the folder cannot be read). */
bool library_walk(struct library_walk_list *out, enum library_kind kind, const char *folder,
                  const char *hf_cache, struct error *err) MUST_CHECK;

/* One file or folder outside any folder, which a setting names. */
bool library_walk_one(struct library_walk_list *out, enum library_kind kind, const char *path,
                      struct error *err) MUST_CHECK;

void library_walk_clear(struct library_walk_list *list);

/* Whether a file of this name may be of the kind, by its ending. */
bool library_walk_has_ending(enum library_kind kind, const char *name);

#endif
