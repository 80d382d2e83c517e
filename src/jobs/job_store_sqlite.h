/* Jobs in a SQLite file: write-ahead log, synchronous=FULL, so what is accepted survives a power
 * cut.
 *
 * Two connections, each with a lock of its own: one writes, one reads.  Readers see the last
 * commit and never wait for the disk.  The lock of the writer is held while it syncs; that is the
 * one place in the program where a lock is held over a write, and only writers wait there. */
#ifndef JOBS_JOB_STORE_SQLITE_H
#define JOBS_JOB_STORE_SQLITE_H

#include "jobs/job_store.h"

/* What `PRAGMA user_version` says of files of today. */
enum { JOB_STORE_SQLITE_VERSION = 2 };

/* Opens or makes the file and brings an older schema up to date.  ERROR_CORRUPT: the file is
 * damaged, and untouched.  ERROR_INVALID: a newer program wrote it.  On true the caller ends with
 * out->close(out->ctx). */
bool job_store_sqlite_open(struct job_store *out, const char *path, struct error *err) MUST_CHECK;

#endif
