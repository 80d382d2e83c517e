#include "client/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum { URL_BYTES = 2048, CONNECT_SECONDS = 10 };

struct client {
    CURL *curl;
    struct curl_slist *headers;
    char server[URL_BYTES];
    char curl_error[CURL_ERROR_SIZE];
    client_stop_fn stop;
    void *stop_ctx;
};

/* Whether text begins with a scheme and a host. */
static bool names_host(const char *text, const char *scheme)
{
    const size_t len = strlen(scheme);
    return strncmp(text, scheme, len) == 0 && text[len] && text[len] != '/';
}

static bool set_server(struct client *c, const char *server, struct error *err)
{
    size_t len = strlen(server);

    if (!names_host(server, "http://") && !names_host(server, "https://"))
        return error_set(err, ERROR_INVALID,
                         "a server is http://HOST:PORT or https://HOST:PORT, not '%.200s'", server);
    while (len > 0 && server[len - 1] == '/')
        len--;
    if (len + 1 > sizeof c->server)
        return error_set(err, ERROR_INVALID, "the server's address is longer than %d bytes",
                         URL_BYTES - 1);
    memcpy(c->server, server, len);
    c->server[len] = 0;
    return true;
}

/* What a key may hold: it becomes a header's value. */
static bool key_is_printable(const char *key)
{
    for (; *key; key++)
        if ((unsigned char)*key < 0x20 || *key == 0x7f)
            return false;
    return true;
}

static bool add_header(struct client *c, const char *line)
{
    struct curl_slist *list = curl_slist_append(c->headers, line);
    if (list)
        c->headers = list;
    return list != NULL;
}

static bool set_key(struct client *c, const char *key, struct error *err)
{
    char line[1100];

    if (!key || !*key)
        return true;
    if (strlen(key) > 1024 || !key_is_printable(key))
        return error_set(err, ERROR_INVALID,
                         "a key has at most 1024 printable characters; this one has not");
    if (strchr(key, ':')) {
        if (curl_easy_setopt(c->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
            curl_easy_setopt(c->curl, CURLOPT_USERPWD, key) == CURLE_OK)
            return true;
        return error_set(err, ERROR_MEMORY, "no memory for the key");
    }
    snprintf(line, sizeof line, "Authorization: Bearer %s", key);
    return add_header(c, line) || error_set(err, ERROR_MEMORY, "no memory for the key");
}

static int keep_going(void *ctx, curl_off_t all_down, curl_off_t down, curl_off_t all_up,
                      curl_off_t up)
{
    const struct client *c = ctx;

    (void)all_down, (void)down, (void)all_up, (void)up;
    return c->stop && c->stop(c->stop_ctx) ? 1 : 0;
}

static size_t take(char *bytes, size_t size, size_t n, void *ctx)
{
    struct buf *b = ctx;

    buf_add(b, bytes, size * n); /* curl hands out at most 16 KiB at a time */
    return b->failed ? 0 : size * n;
}

static bool set_options(struct client *c)
{
    CURL *curl = c->curl;

    return curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->curl_error) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, keep_going) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c) == CURLE_OK &&
           add_header(c, "Content-Type: application/json") && add_header(c, "Expect:");
}

bool client_open(struct client **out, const char *server, const char *api_key, struct error *err)
{
    struct client *c = calloc(1, sizeof *c);
    bool ok = false;

    if (!c)
        return error_set(err, ERROR_MEMORY, "no memory for a client");
    if (!set_server(c, server, err))
        goto done;
    c->curl = curl_easy_init();
    if (!c->curl || !set_options(c)) {
        error_set(err, ERROR_MEMORY, "no memory for a client");
        goto done;
    }
    if (!set_key(c, api_key, err))
        goto done;
    *out = c;
    c = NULL;
    ok = true;

done:
    client_close(c);
    return ok;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    free(c);
}

void client_set_stop(struct client *c, client_stop_fn stop, void *ctx)
{
    c->stop = stop;
    c->stop_ctx = ctx;
}

static enum error_code code_of_status(long status)
{
    if (status == 404)
        return ERROR_NOT_FOUND;
    if (status == 429)
        return ERROR_FULL;
    if (status == 503)
        return ERROR_BUSY;
    return status >= 400 && status < 500 ? ERROR_INVALID : ERROR_IO;
}

/* The server's own sentence where its reply has one. */
static bool tell_status(const struct client *c, const struct buf *reply, long status,
                        struct error *err)
{
    struct json doc = {0};
    struct error ignored = {0};
    const char *text = NULL;

    if (json_read_bytes(&doc, "reply", reply->bytes, reply->len, JSON_CONFIG_MAX_BYTES, &ignored))
        text = json_string_value(json_object_get(doc.root, "detail"));
    if (text)
        error_set(err, code_of_status(status), "%.1000s", text);
    else
        error_set(err, code_of_status(status), "%s answered with status %ld", c->server, status);
    json_clear(&doc);
    return false;
}

static bool tell_failure(const struct client *c, CURLcode code, const struct buf *reply,
                         struct error *err)
{
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return error_set(err, ERROR_CANCELLED, "stopped");
    if (code == CURLE_WRITE_ERROR && reply->failed)
        return error_set(err, ERROR_LIMIT, "%s answered with more than %zu bytes", c->server,
                         reply->limit);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return error_set(err, ERROR_IO, "no server answers at %s (start one: diffusionapi serve)",
                         c->server);
    return error_set(err, ERROR_IO, "%s: %s", c->server,
                     c->curl_error[0] ? c->curl_error : curl_easy_strerror(code));
}

static bool perform(struct client *c, struct buf *reply, const char *method, const char *path,
                    const char *body, struct error *err)
{
    char url[URL_BYTES + 512];
    CURL *curl = c->curl;
    long status = 0;

    if ((size_t)snprintf(url, sizeof url, "%s%s", c->server, path) >= sizeof url)
        return error_set(err, ERROR_INVALID, "the path is too long");
    c->curl_error[0] = 0;
    if (curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, c->headers) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_POST, body ? 1L : 0L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(body ? strlen(body) : 0)) != CURLE_OK)
        return error_set(err, ERROR_MEMORY, "no memory for a request");
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        return tell_failure(c, code, reply, err);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return (status >= 200 && status <= 299) || tell_status(c, reply, status, err);
}

bool client_call(struct client *c, struct json *out, const char *method, const char *path,
                 const json_t *body, struct error *err)
{
    struct buf reply;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    if (body && !text)
        return error_set(err, ERROR_MEMORY, "no memory for a request");
    buf_init(&reply, CLIENT_REPLY_MAX_BYTES);
    bool ok = perform(c, &reply, method, path, text, err) &&
              json_read_bytes(out, c->server, reply.bytes, reply.len, CLIENT_JSON_MAX_BYTES, err);
    free(text);
    buf_clear(&reply);
    return ok;
}

bool client_fetch(struct client *c, struct buf *out, const char *path, struct error *err)
{
    return perform(c, out, "GET", path, NULL, err);
}
