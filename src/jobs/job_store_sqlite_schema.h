/* The tables of the SQLite file, version by version. */
#ifndef JOBS_JOB_STORE_SQLITE_SCHEMA_H
#define JOBS_JOB_STORE_SQLITE_SCHEMA_H

#include "base/error.h"

#include <sqlite3.h>

/* Fills err from the last failure of db: what was being done, and SQLite's own words.  Returns
 * false. */
bool job_store_sqlite_schema_fail(struct error *err, sqlite3 *db, const char *what);

/* Runs statements that give no rows. */
bool job_store_sqlite_schema_run(sqlite3 *db, const char *sql, const char *what,
                                 struct error *err) MUST_CHECK;

/* Makes the tables of a new file, or brings those of an older one up to date, each version in a
 * transaction of its own.  ERROR_INVALID: a newer version, or another program's file. */
bool job_store_sqlite_schema_update(sqlite3 *db, struct error *err) MUST_CHECK;

/* The damage check of SQLite: quick leaves out comparing indexes with their tables. */
bool job_store_sqlite_schema_check(sqlite3 *db, bool quick, struct error *err) MUST_CHECK;

#endif
