/* The data folder: jobs.sqlite3, inputs/, outputs/, and a lock so that it has one server.
 *
 *   inputs/<id>.image, inputs/<id>.mask     bytes as the client sent them
 *   outputs/<id>.<n>.<ext>                  results, written by the worker
 *   outputs/<id>.<n>.<ext>.part, outputs/<id>.preview.<ext>    while it runs
 *
 * Every file belongs to one job: its name begins with the job's id and a dot.  Names that begin
 * otherwise are not ours and are left alone.  Thread-safe: there is nothing but paths in it. */
#ifndef JOBS_JOB_FILES_H
#define JOBS_JOB_FILES_H

#include "jobs/job.h"

enum { JOB_FILES_PATH_BYTES = 4096 };

enum job_files_kind { JOB_FILES_IMAGE, JOB_FILES_MASK };

struct job_files {
    char folder[JOB_FILES_PATH_BYTES];
    int lock_fd; /* owned; below 0: not open */
};

/* Makes the folders that are missing (readable by their owner alone) and takes the lock.
 * ERROR_BUSY: another server works there. */
bool job_files_open(struct job_files *f, const char *folder, struct error *err) MUST_CHECK;

/* Accepts what a failed open leaves. */
void job_files_close(struct job_files *f);

/* Paths, each with room for JOB_FILES_PATH_BYTES.  Fail only when too long; `output` refuses
 * names that are no result of the job as well. */
bool job_files_database(const struct job_files *f, char *out, struct error *err) MUST_CHECK;
bool job_files_input(const struct job_files *f, char *out, const char *id, enum job_files_kind kind,
                     struct error *err) MUST_CHECK;
bool job_files_outputs(const struct job_files *f, char *out, struct error *err) MUST_CHECK;
bool job_files_output(const struct job_files *f, char *out, const char *id, const char *name,
                      struct error *err) MUST_CHECK;

/* Is name "<id>.", then letters, digits, dots, dashes and underscores? */
bool job_files_name_is_valid(const char *id, const char *name);

/* Durable when it returns true; nothing is left when it returns false. */
bool job_files_write_input(const struct job_files *f, const char *id, enum job_files_kind kind,
                           const void *bytes, size_t len, struct error *err) MUST_CHECK;

/* Adds up the sizes of the files that `outputs` (as in struct job) names; ERROR_NOT_FOUND names
 * the one that is missing. */
bool job_files_measure(const struct job_files *f, const char *id, const char *outputs,
                       int64_t *bytes, struct error *err) MUST_CHECK;

/* The sizes of the inputs that the job has; ERROR_NOT_FOUND names the one that is missing. */
bool job_files_measure_inputs(const struct job_files *f, const struct job *j, int64_t *bytes,
                              struct error *err) MUST_CHECK;

/* Removes the inputs and the named results of a job.  What is not there is no error. */
void job_files_remove(const struct job_files *f, const struct job *j);

/* Removes everything in outputs/ that belongs to id but is not named in keep (may be NULL), and
 * what a worker that died had not finished: nobody writes there while one job ends. */
void job_files_clean_outputs(const struct job_files *f, const char *id, const char *keep);

/* What the sweep asks about each file: does a job want to keep it?  is_input tells the folder. */
typedef bool (*job_files_wanted_fn)(void *ctx, const char *id, const char *name, bool is_input);

/* Goes through both folders and removes each file with a job's name that nobody wants.  *removed
 * counts them. */
bool job_files_sweep(const struct job_files *f, job_files_wanted_fn wanted, void *ctx, int *removed,
                     struct error *err) MUST_CHECK;

/* Is there any file with a job's name? */
bool job_files_any(const struct job_files *f, bool *any, struct error *err) MUST_CHECK;

/* Moves database, inputs and outputs into damaged-<time>/, whose name goes to out
 * (JOB_FILES_PATH_BYTES), and makes empty folders in their place. */
bool job_files_set_aside(struct job_files *f, char *out, struct error *err) MUST_CHECK;

#endif
