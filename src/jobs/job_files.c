#include "jobs/job_files.h"

#include "base/clock.h"
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const input_suffix[] = {
    [JOB_FILES_IMAGE] = ".image",
    [JOB_FILES_MASK] = ".mask",
};

/* The files of SQLite: the log and its index lie beside the database. */
static const char *const database_file[] = {"jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm"};

static bool make_folders(const char *folder, struct error *err)
{
    static const char *const name[] = {"", "inputs", "outputs"};
    char path[JOB_FILES_PATH_BYTES];

    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        struct stat st;
        if (!fs_join(path, sizeof path, folder, name[i], err))
            return false;
        const bool is_new = stat(path, &st) != 0;
        if (!fs_make_folders(path, err))
            return false;
        /* Prompts and pictures are nobody else's business; a folder that was there is its owner's
         * to decide on. */
        if (is_new && chmod(path, 0700) != 0) {
            error_set_errno(err, errno, "cannot set its permissions");
            return error_prefix(err, "%.300s", path);
        }
    }
    return true;
}

bool job_files_open(struct job_files *f, const char *folder, struct error *err)
{
    char path[JOB_FILES_PATH_BYTES];

    *f = (struct job_files){.lock_fd = -1};
    if (strlen(folder) >= sizeof f->folder)
        return error_set(err, ERROR_INVALID, "the data folder's path is too long");
    memcpy(f->folder, folder, strlen(folder) + 1);
    if (!make_folders(folder, err) || !fs_join(path, sizeof path, folder, "lock", err))
        return error_prefix(err, "data folder");
    f->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->lock_fd < 0) {
        error_set_errno(err, errno, "cannot open");
        return error_prefix(err, "%.300s", path);
    }
    if (flock(f->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            error_set(err, ERROR_BUSY, "another server works in the data folder %.300s", folder);
        else
            error_set_errno(err, errno, "cannot lock the data folder");
        job_files_close(f);
        return false;
    }
    return true;
}

void job_files_close(struct job_files *f)
{
    if (f->lock_fd >= 0)
        close(f->lock_fd); /* gives the lock back */
    f->lock_fd = -1;
}

bool job_files_database(const struct job_files *f, char *out, struct error *err)
{
    return fs_join(out, JOB_FILES_PATH_BYTES, f->folder, database_file[0], err);
}

bool job_files_input(const struct job_files *f, char *out, const char *id, enum job_files_kind kind,
                     struct error *err)
{
    char name[JOB_FILE_NAME_BYTES];
    snprintf(name, sizeof name, "inputs/%s%s", id, input_suffix[kind]);
    return fs_join(out, JOB_FILES_PATH_BYTES, f->folder, name, err);
}

bool job_files_outputs(const struct job_files *f, char *out, struct error *err)
{
    return fs_join(out, JOB_FILES_PATH_BYTES, f->folder, "outputs", err);
}

bool job_files_output(const struct job_files *f, char *out, const char *id, const char *name,
                      struct error *err)
{
    char folder[JOB_FILES_PATH_BYTES];
    if (!job_files_name_is_valid(id, name))
        return error_set(err, ERROR_INVALID, "'%.64s' is no name of a file of job %s", name, id);
    return job_files_outputs(f, folder, err) &&
           fs_join(out, JOB_FILES_PATH_BYTES, folder, name, err);
}

bool job_files_name_is_valid(const char *id, const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t len = strlen(name), id_len = JOB_ID_BYTES - 1;

    return job_id_is_valid(id) && len > id_len + 1 && len < JOB_FILE_NAME_BYTES &&
           memcmp(name, id, id_len) == 0 && name[id_len] == '.' && strspn(name, allowed) == len;
}

bool job_files_write_input(const struct job_files *f, const char *id, enum job_files_kind kind,
                           const void *bytes, size_t len, struct error *err)
{
    char path[JOB_FILES_PATH_BYTES];
    if (!job_files_input(f, path, id, kind, err))
        return false;
    if (fs_write(path, bytes, len, err))
        return true;
    unlink(path); /* fs_write may fail after its rename */
    return false;
}

/* The next of names that end with a newline each; false at the end or when one is too long. */
static bool next_name(char name[JOB_FILE_NAME_BYTES], const char **at)
{
    const char *end = *at ? strchr(*at, '\n') : NULL;
    if (!end || end - *at >= JOB_FILE_NAME_BYTES)
        return false;
    memcpy(name, *at, (size_t)(end - *at));
    name[end - *at] = 0;
    *at = end + 1;
    return true;
}

static bool add_size(const char *path, int64_t *bytes, struct error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        error_set_errno(err, errno, "cannot find the file");
        return error_prefix(err, "%.300s", path);
    }
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERROR_NOT_FOUND, "%.300s: is no file", path);
    *bytes += st.st_size;
    return true;
}

bool job_files_measure(const struct job_files *f, const char *id, const char *outputs,
                       int64_t *bytes, struct error *err)
{
    char name[JOB_FILE_NAME_BYTES], path[JOB_FILES_PATH_BYTES];

    *bytes = 0;
    while (next_name(name, &outputs))
        if (!job_files_output(f, path, id, name, err) || !add_size(path, bytes, err))
            return false;
    return true;
}

bool job_files_measure_inputs(const struct job_files *f, const struct job *j, int64_t *bytes,
                              struct error *err)
{
    const bool has[] = {[JOB_FILES_IMAGE] = j->has_image, [JOB_FILES_MASK] = j->has_mask};
    char path[JOB_FILES_PATH_BYTES];

    *bytes = 0;
    for (int kind = JOB_FILES_IMAGE; kind <= JOB_FILES_MASK; kind++)
        if (has[kind] && (!job_files_input(f, path, j->id, (enum job_files_kind)kind, err) ||
                          !add_size(path, bytes, err)))
            return false;
    return true;
}

void job_files_remove(const struct job_files *f, const struct job *j)
{
    char name[JOB_FILE_NAME_BYTES], path[JOB_FILES_PATH_BYTES];
    const char *outputs = j->outputs;
    struct error ignored; /* the sweep at the next start finds what could not be removed */

    for (int kind = JOB_FILES_IMAGE; kind <= JOB_FILES_MASK; kind++)
        if (job_files_input(f, path, j->id, (enum job_files_kind)kind, &ignored))
            unlink(path);
    while (next_name(name, &outputs))
        if (job_files_output(f, path, j->id, name, &ignored))
            unlink(path);
}

/* Is name one of the names in list? */
static bool is_listed(const char *list, const char *name)
{
    char one[JOB_FILE_NAME_BYTES];
    while (next_name(one, &list))
        if (strcmp(one, name) == 0)
            return true;
    return false;
}

/* A file that fs_write had not finished when its process died. */
static bool is_unfinished(const char *name)
{
    return strncmp(name, ".tmp-", 5) == 0;
}

void job_files_clean_outputs(const struct job_files *f, const char *id, const char *keep)
{
    char folder[JOB_FILES_PATH_BYTES];
    struct error ignored;

    DIR *dir = job_files_outputs(f, folder, &ignored) ? opendir(folder) : NULL;
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if ((job_files_name_is_valid(id, e->d_name) && !is_listed(keep, e->d_name)) ||
            is_unfinished(e->d_name))
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
}

/* The job's id in front of a name that is ours. */
static bool id_of(char id[JOB_ID_BYTES], const char *name)
{
    if (strlen(name) < JOB_ID_BYTES)
        return false;
    memcpy(id, name, JOB_ID_BYTES - 1);
    id[JOB_ID_BYTES - 1] = 0;
    return job_files_name_is_valid(id, name);
}

static bool sweep_folder(const struct job_files *f, bool is_input, job_files_wanted_fn wanted,
                         void *ctx, int *removed, struct error *err)
{
    char folder[JOB_FILES_PATH_BYTES], id[JOB_ID_BYTES];

    if (!fs_join(folder, sizeof folder, f->folder, is_input ? "inputs" : "outputs", err))
        return false;
    DIR *dir = opendir(folder);
    if (!dir) {
        error_set_errno(err, errno, "cannot list");
        return error_prefix(err, "%.300s", folder);
    }
    for (struct dirent *e; (e = readdir(dir));) {
        const bool ours = id_of(id, e->d_name);
        if ((ours && !wanted(ctx, id, e->d_name, is_input)) || is_unfinished(e->d_name))
            *removed += unlinkat(dirfd(dir), e->d_name, 0) == 0;
    }
    closedir(dir);
    return true;
}

bool job_files_sweep(const struct job_files *f, job_files_wanted_fn wanted, void *ctx, int *removed,
                     struct error *err)
{
    *removed = 0;
    return sweep_folder(f, true, wanted, ctx, removed, err) &&
           sweep_folder(f, false, wanted, ctx, removed, err);
}

static bool note_any(void *ctx, const char *id, const char *name, bool is_input)
{
    (void)id;
    (void)name;
    (void)is_input;
    *(bool *)ctx = true;
    return true;
}

bool job_files_any(const struct job_files *f, bool *any, struct error *err)
{
    int removed;
    *any = false;
    return job_files_sweep(f, note_any, any, &removed, err);
}

static bool move_into(const char *from, const char *to, const char *name, struct error *err)
{
    char old[JOB_FILES_PATH_BYTES], new[JOB_FILES_PATH_BYTES];

    if (!fs_join(old, sizeof old, from, name, err) || !fs_join(new, sizeof new, to, name, err))
        return false;
    if (rename(old, new) == 0 || errno == ENOENT)
        return true;
    error_set_errno(err, errno, "cannot move it aside");
    return error_prefix(err, "%.300s", old);
}

bool job_files_set_aside(struct job_files *f, char *out, struct error *err)
{
    static const char *const folder[] = {"inputs", "outputs"};
    char now[CLOCK_UTC_BYTES], name[80];
    size_t n = 0;

    clock_utc(now, clock_unix_ms());
    for (const char *p = now; *p; p++)
        if (*p != ':' && *p != '-')
            now[n++] = *p;
    now[n] = 0;
    snprintf(name, sizeof name, "damaged-%s", now);
    if (!fs_join(out, JOB_FILES_PATH_BYTES, f->folder, name, err) || !fs_make_folders(out, err))
        return false;
    for (size_t i = 0; i < sizeof folder / sizeof *folder; i++)
        if (!move_into(f->folder, out, folder[i], err))
            return false;
    /* The database last: until it is gone, every start tries again instead of beginning anew. */
    for (size_t i = sizeof database_file / sizeof *database_file; i-- > 0;)
        if (!move_into(f->folder, out, database_file[i], err))
            return false;
    return make_folders(f->folder, err);
}
