#include "http/http_reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void clear_body(struct http_reply *out)
{
    free(out->bytes);
    if (out->kind == HTTP_REPLY_FILE && out->fd >= 0)
        close(out->fd);
    if (out->kind == HTTP_REPLY_STREAM && out->free_ctx)
        out->free_ctx(out->ctx);
    out->kind = HTTP_REPLY_EMPTY;
    out->bytes = NULL;
    out->n_bytes = 0;
    out->content_type = NULL;
    out->next = NULL;
    out->free_ctx = NULL;
    out->ctx = NULL;
}

void http_reply_bytes(struct http_reply *out, int status, const char *content_type,
                      const void *bytes, size_t n_bytes)
{
    clear_body(out);
    out->status = status;
    out->content_type = content_type;
    out->kind = HTTP_REPLY_BYTES;
    out->bytes = malloc(n_bytes ? n_bytes : 1);
    if (!out->bytes) {
        out->failed = true;
        return;
    }
    if (n_bytes)
        memcpy(out->bytes, bytes, n_bytes);
    out->n_bytes = n_bytes;
}

void http_reply_take(struct http_reply *out, int status, const char *content_type, struct buf *b)
{
    clear_body(out);
    out->status = status;
    out->content_type = content_type;
    out->kind = HTTP_REPLY_BYTES;
    out->failed = out->failed || b->failed;
    out->bytes = b->bytes;
    out->n_bytes = b->len;
    buf_init(b, b->limit);
}

void http_reply_file(struct http_reply *out, int status, const char *content_type, int fd,
                     uint64_t file_bytes)
{
    clear_body(out);
    out->status = status;
    out->content_type = content_type;
    out->kind = HTTP_REPLY_FILE;
    out->fd = fd;
    out->file_bytes = file_bytes;
}

void http_reply_stream(struct http_reply *out, int status, const char *content_type,
                       http_reply_next_fn next, void (*free_ctx)(void *ctx), void *ctx)
{
    clear_body(out);
    out->status = status;
    out->content_type = content_type;
    out->kind = HTTP_REPLY_STREAM;
    out->next = next;
    out->free_ctx = free_ctx;
    out->ctx = ctx;
}

void http_reply_empty(struct http_reply *out, int status)
{
    clear_body(out);
    out->status = status;
}

void http_reply_header(struct http_reply *out, const char *name, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);

    char *value = n < 0 || (size_t)n >= sizeof text ? NULL : strdup(text);
    int at = 0;
    while (at < out->n_headers && strcasecmp(out->headers[at].name, name) != 0)
        at++;
    if (!value || at == HTTP_REPLY_HEADERS_MAX) {
        free(value);
        out->failed = true;
        return;
    }
    for (char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    if (at == out->n_headers)
        out->n_headers++;
    else
        free(out->headers[at].value);
    out->headers[at] = (struct http_reply_header){.name = name, .value = value};
}

void http_reply_clear(struct http_reply *out)
{
    clear_body(out);
    for (int i = 0; i < out->n_headers; i++)
        free(out->headers[i].value);
    *out = (struct http_reply){0};
}

const char *http_reply_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } row[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (row[i].status == status)
            return row[i].reason;
    return "";
}
