#include "jobs/job_store_sqlite.h"
#include "jobs/job_testing.h"

#include <sqlite3.h>

static char folder[64], path[96];

static void make(void)
{
    job_testing_make(folder);
    snprintf(path, sizeof path, "%s/jobs.sqlite3", folder);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    const bool ran = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    if (!ran)
        fprintf(stderr, "%s\n", sqlite3_errmsg(db));
    CHECK(ran);
    sqlite3_close(db);
}

static int ask(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int n = -1;
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

/* The file as version 1 wrote it; written down here, because it must never change. */
static const char version_1[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE jobs(seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE CHECK(length(id) = 36),"
    " state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 5), attempts INTEGER NOT NULL,"
    " created REAL NOT NULL, started REAL NOT NULL DEFAULT 0, finished REAL NOT NULL DEFAULT 0,"
    " family TEXT NOT NULL CHECK(length(family) < 16),"
    " owner TEXT NOT NULL CHECK(length(owner) < 129),"
    " request TEXT NOT NULL CHECK(length(request) <= 262144),"
    " wire TEXT CHECK(length(wire) <= 262144), result TEXT CHECK(length(result) <= 262144),"
    " outputs TEXT CHECK(length(outputs) <= 16384), inputs INTEGER NOT NULL DEFAULT 0,"
    " bytes INTEGER NOT NULL DEFAULT 0,"
    " error_code TEXT NOT NULL DEFAULT '' CHECK(length(error_code) < 32),"
    " error_text TEXT NOT NULL DEFAULT '' CHECK(length(error_text) < 1200)) STRICT;"
    "CREATE INDEX jobs_by_state ON jobs(state);"
    "CREATE INDEX jobs_by_created ON jobs(created, id, state, owner);"
    "INSERT INTO jobs(id, state, attempts, created, family, owner, request) VALUES"
    " ('3f2504e0-4f89-41d3-9a0c-0305e82c3301', 0, 0, 100.5, 'native', 'me', '{\"a\":1}'),"
    " ('3f2504e0-4f89-41d3-9a0c-0305e82c3302', 1, 1, 101.5, 'sdapi', '', '{\"b\":2}');"
    "PRAGMA user_version = 1;";

static void brings_version_1_up_to_date(void)
{
    struct job_store s;
    struct job j;
    struct error err = {0};
    bool found;

    make();
    run_sql(version_1);
    CHECK(job_store_sqlite_open(&s, path, &err));
    CHECK(s.get(s.ctx, &j, "3f2504e0-4f89-41d3-9a0c-0305e82c3302", &err));
    CHECK(j.state == JOB_LOADING && !j.cancel_asked && strcmp(j.family, "sdapi") == 0);
    job_clear(&j);
    CHECK(s.ask_cancel(s.ctx, "3f2504e0-4f89-41d3-9a0c-0305e82c3302", &err));
    CHECK(s.claim(s.ctx, &j, &found, 200, &err) && found && j.created == 100.5);
    CHECK(strcmp(j.request, "{\"a\":1}") == 0 && j.attempts == 1);
    job_clear(&j);
    CHECK(s.check(s.ctx, &err));
    s.close(s.ctx);
    CHECK(ask("PRAGMA user_version") == JOB_STORE_SQLITE_VERSION);
    CHECK(ask("SELECT cancel_asked FROM jobs WHERE seq = 2") == 1);
    job_testing_remove(folder);
}

static void ends_at_the_same_tables_old_or_new(void)
{
    static const char sum[] = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'jobs%'";
    struct job_store s;
    struct error err = {0};

    make();
    CHECK(job_store_sqlite_open(&s, path, &err));
    s.close(s.ctx);
    const int n_new = ask(sum), columns_new = ask("SELECT count(*) FROM pragma_table_info('jobs')");
    job_testing_remove(folder);
    make();
    run_sql(version_1);
    CHECK(job_store_sqlite_open(&s, path, &err));
    s.close(s.ctx);
    CHECK(ask(sum) == n_new && n_new == 4);
    CHECK(ask("SELECT count(*) FROM pragma_table_info('jobs')") == columns_new);
    job_testing_remove(folder);
}

static void refuses_files_that_are_not_its_own(void)
{
    static const struct {
        const char *sql, *says;
    } row[] = {
        {"PRAGMA user_version = 3; CREATE TABLE jobs(x)", "newer version"},
        {"PRAGMA user_version = -1", "another program"},
        {"CREATE TABLE cats(name)", "another program"},
        {"PRAGMA user_version = 2; CREATE TABLE cats(name)", "has not the tables"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct job_store s;
        struct error err = {0};
        make();
        run_sql(row[i].sql);
        CHECK(!job_store_sqlite_open(&s, path, &err) && !s.ctx);
        if (!strstr(err.text, row[i].says))
            fprintf(stderr, "%s\n", err.text);
        CHECK(strstr(err.text, row[i].says) && strstr(err.text, path));
        job_testing_remove(folder);
    }
}

/* Every pair of states through the store: the table decides, and nothing changes when it says no.
 */
static void moves_as_the_table_says(void)
{
    struct job_store s;
    struct error err = {0};
    make();
    CHECK(job_store_sqlite_open(&s, path, &err));
    for (int from = 0; from < JOB_N_STATES; from++) {
        for (int to = 0; to < JOB_N_STATES; to++) {
            char request[] = "{}", sql[200];
            struct job j = {.created = 1, .request = request, .family = "native"}, after;
            job_new_id(j.id);
            CHECK(s.accept(s.ctx, &j, &err));
            snprintf(sql, sizeof sql, "UPDATE jobs SET state = %d, finished = 5 WHERE id = '%s'",
                     from, j.id);
            run_sql(sql);
            const struct job_change change = {.to = (enum job_state)to, .when = 9};
            const bool may = job_may_move((enum job_state)from, (enum job_state)to);
            CHECK(s.move(s.ctx, j.id, (enum job_state)from, &change, NULL, &err) == may);
            CHECK(may || err.code == ERROR_INVALID);
            CHECK(s.get(s.ctx, &after, j.id, &err));
            CHECK((int)after.state == (may ? to : from));
            if (may && job_is_final(after.state))
                CHECK(after.finished == (from == JOB_DONE ? 5 : 9));
            /* From a state it is not in. */
            const struct job_change fail = {.to = JOB_ERROR, .when = 9};
            if (to != JOB_QUEUED && from != JOB_QUEUED) {
                CHECK(!s.move(s.ctx, j.id, JOB_QUEUED, &fail, NULL, &err));
                CHECK(err.code == ERROR_INVALID);
            }
            job_clear(&after);
        }
    }
    const struct job_change fail = {.to = JOB_ERROR};
    CHECK(!s.move(s.ctx, "3f2504e0-4f89-41d3-9a0c-0305e82c3301", JOB_QUEUED, &fail, NULL, &err));
    CHECK(err.code == ERROR_NOT_FOUND);
    s.close(s.ctx);
    job_testing_remove(folder);
}

static void refuses_rows_that_are_no_jobs(void)
{
    struct job_store s;
    struct job j;
    struct error err = {0};
    bool found;
    make();
    CHECK(job_store_sqlite_open(&s, path, &err));
    run_sql("INSERT INTO jobs(id, state, attempts, created, family, owner, request) VALUES"
            "('../../../../../../../../../etc/group', 0, 0, 1, 'x', '', '{}')");
    CHECK(!s.claim(s.ctx, &j, &found, 1, &err) && err.code == ERROR_CORRUPT && !found);
    run_sql("DELETE FROM jobs; PRAGMA ignore_check_constraints = ON;"
            "INSERT INTO jobs(id, state, attempts, created, family, owner, request) VALUES"
            "('3f2504e0-4f89-41d3-9a0c-0305e82c3301', 0, 0, 1, 'x', '', printf('%300000s', 'x'))");
    CHECK(!s.get(s.ctx, &j, "3f2504e0-4f89-41d3-9a0c-0305e82c3301", &err));
    CHECK(err.code == ERROR_CORRUPT && !j.request);
    s.close(s.ctx);
    job_testing_remove(folder);
}

static void accepts_an_id_once(void)
{
    struct job_store s;
    struct error err = {0};
    char request[] = "{}";
    struct job j = {.created = 1, .request = request, .family = "native"};
    struct job_totals t;
    make();
    CHECK(job_store_sqlite_open(&s, path, &err));
    job_new_id(j.id);
    CHECK(s.accept(s.ctx, &j, &err) && j.seq == 1);
    CHECK(!s.accept(s.ctx, &j, &err) && err.code == ERROR_INVALID);
    CHECK(s.totals(s.ctx, &t, &err) && t.n[JOB_QUEUED] == 1);
    job_new_id(j.id); /* and goes on afterwards */
    CHECK(s.accept(s.ctx, &j, &err));
    s.close(s.ctx);
    job_testing_remove(folder);
}

int main(void)
{
    brings_version_1_up_to_date();
    ends_at_the_same_tables_old_or_new();
    refuses_files_that_are_not_its_own();
    moves_as_the_table_says();
    refuses_rows_that_are_no_jobs();
    accepts_an_id_once();
    return TEST_END();
}
