#define _GNU_SOURCE /* O_PATH, syscall */

#include "app/worker_landlock.h"

#ifdef __has_include
#if defined __linux__ && __has_include(<linux/landlock.h>)
#define HAVE_LANDLOCK
#endif
#endif

#ifdef HAVE_LANDLOCK

#include "base/fs.h"
#include "generator/generator_model.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum { MAX_DEPTH = 5, MAX_LINKS = 4096, PATH_BYTES = 4096 };

/* Rights of the first version, which every later one has. */
static const uint64_t all_rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t writing = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                LANDLOCK_ACCESS_FS_REMOVE_FILE;
static const uint64_t for_files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;

struct rules {
    int fd;
    int links; /* followed so far */
};

/* What is not there needs no rule.  keep: the place is held open, for those that the system would
 * otherwise make anew with every look. */
static void allow(const struct rules *r, const char *path, uint64_t rights, bool keep)
{
    struct stat st;
    const int fd = path[0] ? open(path, O_PATH | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0) {
        const struct landlock_path_beneath_attr rule = {
            .allowed_access = S_ISDIR(st.st_mode) ? rights : rights & for_files, .parent_fd = fd};
        (void)syscall(SYS_landlock_add_rule, r->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    if (!keep)
        close(fd);
}

/* Links in a folder of models lead where their owner wants them to. */
static void allow_links(struct rules *r, const char *folder, int depth)
{
    DIR *dir = depth < MAX_DEPTH ? opendir(folder) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL && r->links < MAX_LINKS) {
        char path[PATH_BYTES];
        struct error ignored;
        struct stat st;
        if (entry->d_name[0] == '.' ||
            !fs_join(path, sizeof path, folder, entry->d_name, &ignored) || lstat(path, &st) != 0)
            continue;
        if (S_ISLNK(st.st_mode)) {
            r->links++;
            allow(r, path, reading, false);
            if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                allow_links(r, path, depth + 1);
        } else if (S_ISDIR(st.st_mode)) {
            allow_links(r, path, depth + 1);
        }
    }
    if (dir)
        closedir(dir);
}

static void allow_models(struct rules *r, const struct settings *s)
{
    const char *const places[] = {s->models_dir, s->loras_dir,  s->upscalers_dir, s->embeddings_dir,
                                  s->vae_dir,    s->model,      s->vae,           s->tokenizer_dir,
                                  s->hf_cache,   s->labels_file};
    char demo[GENERATOR_MODEL_PATH_BYTES], path[PATH_BYTES];
    struct error ignored;

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        allow(r, places[i], reading, false);
        if (places[i][0])
            allow_links(r, places[i], 0);
    }
    /* The second text encoder's tokenizer lies beside the first one's. */
    if (s->tokenizer_dir[0]) {
        snprintf(path, sizeof path, "%s_2", s->tokenizer_dir);
        allow(r, path, reading, false);
    }
    if (generator_model_find_demo(demo, &ignored))
        allow(r, demo, reading, false);
}

static void allow_system(const struct rules *r)
{
    static const char *const places[] = {"/proc",  "/sys", "/usr",      "/lib",
                                         "/lib64", "/etc", "/dev/null", "/dev/urandom"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        allow(r, places[i], reading, false);
    /* clear_refs, which begins a new peak of this process's memory, has to be written. */
    allow(r, "/proc/self", reading | LANDLOCK_ACCESS_FS_WRITE_FILE, true);
}

/* Nothing else of the data folder: neither database nor keys. */
static void allow_data(const struct rules *r, const struct settings *s, bool may_write)
{
    char path[PATH_BYTES];
    struct error ignored;

    if (fs_join(path, sizeof path, s->data_dir, "cache", &ignored)) /* hashes of models */
        allow(r, path, reading, false);
    if (fs_join(path, sizeof path, s->data_dir, "inputs", &ignored))
        allow(r, path, reading, false);
    if (may_write && fs_join(path, sizeof path, s->data_dir, "outputs", &ignored))
        allow(r, path, writing, false);
}

bool worker_landlock(const struct settings *s, bool may_write)
{
    const struct landlock_ruleset_attr attr = {.handled_access_fs = all_rights};
    struct rules r = {
        .fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0)};

    if (r.fd < 0)
        return false;
    allow_models(&r, s);
    allow_system(&r);
    allow_data(&r, s, may_write);
    const bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    syscall(SYS_landlock_restrict_self, r.fd, 0) == 0;
    close(r.fd);
    return ok;
}

#else

bool worker_landlock(const struct settings *s, bool may_write)
{
    (void)s;
    (void)may_write;
    return false;
}

#endif
