#include "app/client_flow.h"

#include "app/cli_interrupt.h"
#include "app/client_request.h"
#include "app/client_watch.h"
#include "base/fs.h"
#include "client/client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SERVER_BYTES = 300, PATH_BYTES = 4096, PICTURES_MAX = 256, NAMES_TRIED = 10000 };

static bool connect_to(struct client **out, const struct cli_options *o, struct error *err)
{
    char server[SERVER_BYTES];
    const struct settings *s = &o->settings;
    const char *key = s->api_key[0] ? s->api_key : s->user;

    if (o->server)
        snprintf(server, sizeof server, "%s", o->server);
    else
        snprintf(server, sizeof server, "http://127.0.0.1:%" PRId64, s->port);
    if (!client_open(out, server, key, err))
        return error_prefix(err, "--server");
    client_set_stop(*out, cli_interrupt_asked, NULL);
    return true;
}

/* Names are made of letters, digits and dashes: nothing else belongs in a path. */
static bool job_path(char out[128], const char *before, const char *id, const char *flag,
                     struct error *err)
{
    size_t len = strlen(id);

    if (len == 0 || len > 64 || strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return error_set(err, ERROR_INVALID, "%s is a job's id as `--list` shows it, not '%.80s'",
                         flag, id);
    snprintf(out, 128, "%s%s", before, id);
    return true;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool list(struct client *c, struct error *err)
{
    struct json reply = {0};
    size_t i;
    json_t *job;

    if (!client_call(c, &reply, "GET", "/queue", NULL, err))
        return false;
    printf("%-36s  %-10s  %8s  %s\n", "job", "state", "percent", "error");
    json_array_foreach(json_object_get(reply.root, "jobs"), i, job)
        printf("%-36s  %-10s  %8.1f  %s\n", text_of(job, "job_id"), text_of(job, "state"),
               json_number_value(json_object_get(job, "progress")), text_of(job, "error"));
    json_clear(&reply);
    return true;
}

static bool cancel(struct client *c, const char *id, FILE *to, struct error *err)
{
    struct json reply = {0};
    char path[128];

    if (!job_path(path, "/queue/", id, "--cancel", err) ||
        !client_call(c, &reply, "DELETE", path, NULL, err))
        return false;
    fprintf(to, "job %s is cancelled\n", id);
    json_clear(&reply);
    return true;
}

/* "out.png", or "out-2.png" where there are several. */
static bool picture_path(char out[PATH_BYTES], const char *name, int i, int n, struct error *err)
{
    const char *slash = strrchr(name, '/');
    const char *dot = strrchr(slash ? slash : name, '.');
    size_t stem = dot ? (size_t)(dot - name) : strlen(name);
    int len = n == 1 ? snprintf(out, PATH_BYTES, "%s", name)
                     : snprintf(out, PATH_BYTES, "%.*s-%d%s", (int)stem, name, i + 1, name + stem);

    return (len >= 0 && len < PATH_BYTES) ||
           error_set(err, ERROR_INVALID, "--output is longer than %d bytes", PATH_BYTES - 16);
}

/* The name that was asked for, or the first of picture-N.EXT that is free. */
static bool output_name(char out[PATH_BYTES], const struct cli_options *o, const char *ending,
                        struct error *err)
{
    if (o->output) {
        if ((size_t)snprintf(out, PATH_BYTES, "%s", o->output) >= PATH_BYTES)
            return error_set(err, ERROR_INVALID, "--output is longer than %d bytes",
                             PATH_BYTES - 1);
        return true;
    }
    for (int i = 1; i <= NAMES_TRIED; i++) {
        char first[PATH_BYTES + 16];
        snprintf(out, PATH_BYTES, "picture-%d.%s", i, ending);
        snprintf(first, sizeof first, "picture-%d-1.%s", i, ending);
        if (access(out, F_OK) != 0 && access(first, F_OK) != 0)
            return true;
    }
    return error_set(err, ERROR_INVALID, "all names to picture-%d.%s are taken; give --output",
                     NAMES_TRIED, ending);
}

static bool save_one(struct client *c, const char *id, const char *path, int i, FILE *to,
                     struct error *err)
{
    struct buf bytes;
    char from[128];

    snprintf(from, sizeof from, "/images/%s/%d", id, i);
    buf_init(&bytes, CLIENT_REPLY_MAX_BYTES);
    bool ok = client_fetch(c, &bytes, from, err) && fs_write(path, bytes.bytes, bytes.len, err);
    buf_clear(&bytes);
    if (ok)
        fprintf(to, "picture: %s\n", path);
    return ok;
}

static bool save(struct client *c, const struct cli_options *o, const char *id,
                 const struct client_watch_end *end, FILE *to, struct error *err)
{
    char name[PATH_BYTES], path[PATH_BYTES];

    if (!output_name(name, o, end->file_type, err))
        return false;
    for (int i = 0; i < end->n_pictures && i < PICTURES_MAX; i++)
        if (!picture_path(path, name, i, end->n_pictures, err) ||
            !save_one(c, id, path, i, to, err))
            return false;
    return true;
}

static bool follow(struct client *c, const struct cli_options *o, const char *id, FILE *to,
                   struct error *err)
{
    struct client_watch_end end;

    return client_watch(c, id, &end, to, err) && save(c, o, id, &end, to, err);
}

/* Ctrl-C while the job runs: it is of no use to anybody any more. */
static void give_up(struct client *c, const char *id, FILE *to)
{
    struct error ignored = {0};

    client_set_stop(c, NULL, NULL);
    if (!cancel(c, id, to, &ignored))
        fprintf(to, "could not cancel job %s: %s\n", id, ignored.text);
}

static bool submit(struct client *c, const struct cli_options *o, FILE *to, struct error *err)
{
    json_t *body = NULL;
    struct json reply = {0};
    const char *route = o->image ? "/img2img" : "/txt2img";
    char id[65], path[128];

    if (!client_request_make(&body, o, err))
        return false;
    bool ok = client_call(c, &reply, "POST", route, body, err);
    json_decref(body);
    if (!ok)
        return false;
    snprintf(id, sizeof id, "%s", text_of(reply.root, "job_id"));
    json_clear(&reply);
    if (!job_path(path, "", id, "the server's answer", err))
        return false;
    fprintf(to, "job: %s\n", id);
    if (o->no_wait)
        return true;
    ok = follow(c, o, id, to, err);
    if (!ok && err->code == ERROR_CANCELLED)
        give_up(c, id, to);
    return ok;
}

bool client_flow_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct client *c = NULL;
    char path[128];
    bool ok = connect_to(&c, o, err);

    if (ok && o->list)
        ok = list(c, err);
    else if (ok && o->cancel)
        ok = cancel(c, o->cancel, to, err);
    else if (ok && o->job)
        ok = job_path(path, "", o->job, "--job", err) && follow(c, o, o->job, to, err);
    else if (ok)
        ok = submit(c, o, to, err);
    client_close(c);
    return ok;
}
