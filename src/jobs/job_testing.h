/* What the tests of this folder share: a data folder that goes away, and looks at its files. */
#ifndef JOBS_JOB_TESTING_H
#define JOBS_JOB_TESTING_H

#include "base/fs.h"
#include "base/test.h"
#include "jobs/job_queue.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void job_testing_make(char folder[64])
{
    snprintf(folder, 64, "/tmp/job_test.XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static inline void job_testing_remove(const char *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK(system(command) == 0);
}

static inline struct job_queue_settings job_testing_settings(const char *folder)
{
    return (struct job_queue_settings){.folder = folder, .max_queued = 5000, .max_attempts = 2};
}

static inline struct job_queue *job_testing_open(const struct job_queue_settings *s)
{
    struct job_queue *q = NULL;
    struct error err = {0};
    const bool opened = job_queue_open(&q, s, &err);
    if (!opened)
        fprintf(stderr, "%s\n", err.text);
    CHECK(opened);
    return q;
}

static inline bool job_testing_submit(struct job_queue *q, char id[JOB_ID_BYTES], bool image)
{
    struct error err = {0};
    const struct job_submission s = {.family = "native",
                                     .owner = "me",
                                     .request = "{\"prompt\":\"a cat\"}",
                                     .wire = "{\"prompt\": \"a cat\"}",
                                     .image = image ? "0123456789" : NULL,
                                     .image_bytes = 10};
    const bool ok = job_queue_submit(q, id, &s, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    return ok;
}

/* Writes outputs/<id>.<suffix> as a worker would. */
static inline bool job_testing_output(struct job_queue *q, const char *id, const char *suffix,
                                      size_t n_bytes, char name[JOB_FILE_NAME_BYTES])
{
    char path[JOB_FILES_PATH_BYTES];
    static const char bytes[5000];
    struct error err = {0};
    snprintf(name, JOB_FILE_NAME_BYTES, "%s.%s", id, suffix);
    return job_files_output(job_queue_files(q), path, id, name, &err) &&
           fs_write(path, bytes, n_bytes, &err);
}

/* The next job, run to its end with one result of n_bytes. */
static inline bool job_testing_run_one(struct job_queue *q, size_t n_bytes)
{
    struct job j;
    struct error err = {0};
    bool found = false;
    char name[JOB_FILE_NAME_BYTES];
    const char *const names[] = {name};
    bool ok = job_queue_next(q, &j, &found, &err) && found && job_queue_start(q, j.id, &err) &&
              job_testing_output(q, j.id, "0.png", n_bytes, name) &&
              job_queue_finish(q, j.id, "{\"seeds\":[1]}", names, 1, &err);
    if (!ok)
        fprintf(stderr, "run_one: %s\n", err.text);
    job_clear(&j);
    return ok;
}

static inline enum job_state job_testing_state(struct job_queue *q, const char *id)
{
    struct job j;
    struct error err = {0};
    if (!job_queue_get(q, &j, id, &err))
        return (enum job_state)JOB_N_STATES;
    const enum job_state s = j.state;
    job_clear(&j);
    return s;
}

static inline int job_testing_count_files(const char *folder, const char *sub)
{
    char path[256];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", folder, sub);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.' || strncmp(e->d_name, ".tmp", 4) == 0;
    if (dir)
        closedir(dir);
    return dir ? n : -1;
}

#endif
