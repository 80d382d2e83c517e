/* What the files of the library know of each other. */
#ifndef LIBRARY_LIBRARY_INTERNAL_H
#define LIBRARY_LIBRARY_INTERNAL_H

#include "base/thread.h"
#include "library/library.h"
#include "library/library_hashes.h"
#include "library/library_labels.h"

#include <sys/stat.h>

struct library_shelf; /* library_shelf.h */

struct library {
    char *folders[LIBRARY_KINDS]; /* owned, like all texts; "" where there is none */
    char *default_model, *demo_model, *labels_file, *hf_cache;
    bool labels_named;             /* labels_file was given, not derived from the models' folder */
    struct library_hashes *hashes; /* has a lock of its own */

    pthread_mutex_t lock;
    pthread_cond_t looked;

    /* Guarded by lock. */
    struct library_shelf *shelves[LIBRARY_KINDS]; /* NULL: not looked at yet */
    double looked_at[LIBRARY_KINDS];              /* clock_seconds() when the last look began */
    bool looking[LIBRARY_KINDS];                  /* a thread is at it */
    struct library_labels_table *labels;          /* never NULL once open */
    struct stat labels_seen;                      /* the file that they come from; zero: none */
};

#endif
