#include "model/model_vae_find.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

/* One plain file name that is not hidden. */
static bool is_plain(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/') && !strchr(name, '\\');
}

static void list_dir(char *list, size_t room, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    snprintf(list, room, "%s", d ? "" : "it cannot be read");
    while (d && (entry = readdir(d)) != NULL) {
        size_t have = strlen(list), len = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || have + len + 3 > room)
            continue;
        snprintf(list + have, room - have, "%s%.120s", have ? ", " : "", entry->d_name);
    }
    if (d)
        closedir(d);
    if (!list[0])
        snprintf(list, room, "it is empty");
}

bool model_vae_find(char out[MODEL_VAE_FIND_PATH_BYTES], const char *name, const char *dir,
                    enum model_family family, struct error *err)
{
    static const char *const endings[] = {
        "", ".safetensors", "_decoder.safetensors", ".pt", ".ckpt", ".pth", ".bin"};
    const char *file = strcmp(name, "taesd") == 0 && family != MODEL_SD1 ? "taesdxl" : name;
    char list[160];

    for (size_t i = 0; is_plain(file) && i < sizeof endings / sizeof endings[0]; i++) {
        int n = snprintf(out, MODEL_VAE_FIND_PATH_BYTES, "%s/%s%s", dir, file, endings[i]);
        if (n >= 0 && n < MODEL_VAE_FIND_PATH_BYTES && exists(out))
            return true;
    }
    list_dir(list, sizeof list, dir);
    return error_set(err, ERROR_NOT_FOUND, "there is no VAE '%.120s' in vae_dir '%.80s' (%s)", file,
                     dir, list);
}
