#include "jobs/job_store_sqlite_schema.h"

#include "jobs/job_store_sqlite.h"

#include <stdio.h>
#include <string.h>

/* Row i leads from version i to i + 1.  Rows are never changed, only added. */
static const char *const step_to[JOB_STORE_SQLITE_VERSION] = {
    "CREATE TABLE jobs("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE CHECK(length(id) = 36),"
    " state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 5),"
    " attempts INTEGER NOT NULL,"
    " created REAL NOT NULL,"
    " started REAL NOT NULL DEFAULT 0,"
    " finished REAL NOT NULL DEFAULT 0,"
    " family TEXT NOT NULL CHECK(length(family) < 16),"
    " owner TEXT NOT NULL CHECK(length(owner) < 129),"
    " request TEXT NOT NULL CHECK(length(request) <= 262144),"
    " wire TEXT CHECK(length(wire) <= 262144),"
    " result TEXT CHECK(length(result) <= 262144),"
    " outputs TEXT CHECK(length(outputs) <= 16384),"
    " inputs INTEGER NOT NULL DEFAULT 0," /* bit 0: image, bit 1: mask */
    " bytes INTEGER NOT NULL DEFAULT 0,"
    " error_code TEXT NOT NULL DEFAULT '' CHECK(length(error_code) < 32),"
    " error_text TEXT NOT NULL DEFAULT '' CHECK(length(error_text) < 1200)"
    ") STRICT;"
    "CREATE INDEX jobs_by_state ON jobs(state);"
    "CREATE INDEX jobs_by_created ON jobs(created, id, state, owner);",

    "ALTER TABLE jobs ADD COLUMN cancel_asked INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX jobs_by_end ON jobs(finished, seq) WHERE state >= 3;",
};

static enum error_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERROR_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_BUSY;
    case SQLITE_NOMEM:
        return ERROR_MEMORY;
    case SQLITE_CONSTRAINT:
        return ERROR_INVALID;
    case SQLITE_TOOBIG:
        return ERROR_LIMIT;
    default:
        return ERROR_IO;
    }
}

bool job_store_sqlite_schema_fail(struct error *err, sqlite3 *db, const char *what)
{
    const int rc = sqlite3_errcode(db);
    return error_set(err, code_of(rc), "%s: %s", what, sqlite3_errmsg(db));
}

bool job_store_sqlite_schema_run(sqlite3 *db, const char *sql, const char *what, struct error *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return job_store_sqlite_schema_fail(err, db, what);
}

static bool ask_number(sqlite3 *db, const char *sql, int *out, struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
              sqlite3_step(stmt) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int(stmt, 0);
    else
        job_store_sqlite_schema_fail(err, db, "cannot read it");
    sqlite3_finalize(stmt);
    return ok;
}

static bool take_step(sqlite3 *db, int from, struct error *err)
{
    char version[64];
    snprintf(version, sizeof version, "PRAGMA user_version = %d", from + 1);
    if (!job_store_sqlite_schema_run(db, "BEGIN IMMEDIATE", "cannot change its tables", err))
        return false;
    if (job_store_sqlite_schema_run(db, step_to[from], "cannot change its tables", err) &&
        job_store_sqlite_schema_run(db, version, "cannot change its version", err) &&
        job_store_sqlite_schema_run(db, "COMMIT", "cannot change its tables", err))
        return true;
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool job_store_sqlite_schema_update(sqlite3 *db, struct error *err)
{
    int version = 0, n_tables = 0;

    if (!ask_number(db, "PRAGMA user_version", &version, err) ||
        !ask_number(db, "SELECT count(*) FROM sqlite_master", &n_tables, err))
        return false;
    if (version > JOB_STORE_SQLITE_VERSION)
        return error_set(err, ERROR_INVALID,
                         "was written by a newer version of this program (schema %d, this one "
                         "knows up to %d); use that version, or another data folder",
                         version, JOB_STORE_SQLITE_VERSION);
    if (version < 0 || (version == 0 && n_tables > 0))
        return error_set(err, ERROR_INVALID, "is a database of another program");
    for (; version < JOB_STORE_SQLITE_VERSION; version++)
        if (!take_step(db, version, err))
            return error_prefix(err, "update of the schema from version %d to %d", version,
                                version + 1);
    return true;
}

bool job_store_sqlite_schema_check(sqlite3 *db, bool quick, struct error *err)
{
    const char *sql = quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)";
    sqlite3_stmt *stmt = NULL;
    bool ok = false;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        job_store_sqlite_schema_fail(err, db, "cannot be checked");
    } else {
        const char *says = (const char *)sqlite3_column_text(stmt, 0);
        ok = says && sqlite3_stricmp(says, "ok") == 0;
        if (!ok)
            error_set(err, ERROR_CORRUPT, "is damaged: %.300s", says ? says : "no answer");
        for (char *p = ok ? NULL : strchr(err->text, '\n'); p; p = strchr(p, '\n'))
            *p = ' '; /* one sentence, one line */
    }
    sqlite3_finalize(stmt);
    return ok;
}
