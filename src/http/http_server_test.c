/* The server over real sockets: what clients send, whole and broken, and what comes back. */
#include "base/fs.h"
#include "base/test.h"
#include "base/thread.h"
#include "http/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 1 << 20, BODY_LIMIT = 100000 };

static struct http_server *server;
static char answer[ANSWER_BYTES];
static _Atomic int n_done, n_freed, n_gone;
static _Atomic int last_status;

/* The user of the server: echoes, counts, streams, by the path. */

static void begin(void *ctx, struct http_request *r, struct http_reply *reply)
{
    (void)ctx;
    if (strcmp(r->path, "/refused") == 0)
        http_reply_bytes(reply, 401, "text/plain", "no", 2);
}

static bool next_piece(void *ctx, const struct http_request *r, struct buf *out)
{
    int *left = ctx;
    (void)r;
    buf_add(out, "tick\n", 5);
    return --*left > 0;
}

static bool next_forever(void *ctx, const struct http_request *r, struct buf *out)
{
    struct timespec pause = {0, 5000000};
    (void)ctx;
    (void)r;
    (void)out;
    nanosleep(&pause, NULL);
    return true;
}

static void free_piece(void *ctx)
{
    free(ctx);
    n_freed++;
}

static void echo(const struct http_request *r, struct http_reply *reply)
{
    struct buf b;
    char head[600];

    buf_init(&b, ANSWER_BYTES);
    int n = snprintf(head, sizeof head, "%s %.200s %.200s %zu ", http_request_method_name(r),
                     r->path, r->query, r->body_bytes);
    buf_add(&b, head, (size_t)n);
    buf_add(&b, r->body, r->body_bytes);
    http_reply_take(reply, 200, "text/plain", &b);
}

static void handle(void *ctx, struct http_request *r, struct http_reply *reply)
{
    (void)ctx;
    if (strcmp(r->path, "/stream") == 0) {
        int *left = malloc(sizeof *left);
        if (left)
            *left = 3;
        http_reply_stream(reply, 200, "text/event-stream", next_piece, free_piece, left);
    } else if (strcmp(r->path, "/forever") == 0) {
        http_reply_stream(reply, 200, "text/event-stream", next_forever, free_piece, malloc(1));
    } else if (strcmp(r->path, "/wait") == 0) {
        while (!http_request_client_is_gone(r))
            poll(NULL, 0, 5);
        n_gone++;
        http_reply_empty(reply, 204);
    } else if (strcmp(r->path, "/file") == 0) {
        http_reply_file(reply, 200, "text/x-c", open("src/http/http_server_test.c", O_RDONLY), 40);
    } else if (strcmp(r->path, "/nobody") != 0) {
        echo(r, reply);
        http_reply_header(reply, "X-Test", "a\r\nb%d", 1);
        http_reply_header(reply, "X-Test", "c\r\nd%d", 2);
    }
}

static void refuse(void *ctx, struct http_request *r, struct http_reply *reply, int status,
                   const char *text)
{
    (void)ctx;
    (void)r;
    http_reply_bytes(reply, status, "text/plain", text, strlen(text));
}

static void done(void *ctx, const struct http_request *r, const struct http_server_sent *sent)
{
    (void)ctx;
    (void)r;
    last_status = sent->status;
    n_done++;
}

/* A client. */

static int connect_to(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_port = htons((uint16_t)http_server_port(server));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static void say(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

/* All that comes until the server closes. */
static const char *hear_all(int fd)
{
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof answer && (got = recv(fd, answer + n, sizeof answer - 1 - n, 0)) > 0)
        n += (size_t)got;
    answer[n] = 0;
    close(fd);
    return answer;
}

/* One request on a connection of its own; the request has to end it. */
static const char *ask(const char *request)
{
    int fd = connect_to();
    say(fd, request, strlen(request));
    return hear_all(fd);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
    size_t n = strlen(text), m = strlen(with);
    return n >= m && strcmp(text + n - m, with) == 0;
}

#define HEAD "Host: localhost\r\nConnection: close\r\n"

static void answers_requests(void)
{
    const char *a = ask("GET /a%20b?x=1&y HTTP/1.1\r\n" HEAD "\r\n");
    CHECK(begins(a, "HTTP/1.1 200 OK\r\n") && ends(a, "GET /a%20b x=1&y 0 "));
    CHECK(strstr(a, "X-Test: c  d2\r\n") && !strstr(a, "a  b1"));
    CHECK(ends(ask("POST /p HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n\r\nhello"),
               "POST /p  5 hello"));
    CHECK(ends(ask("POST /p HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y"
                   "\r\nlo\r\n0\r\n\r\n"),
               "POST /p  5 hello"));
    a = ask("HEAD /h HTTP/1.1\r\n" HEAD "\r\n");
    CHECK(begins(a, "HTTP/1.1 200") && strstr(a, "Content-Length: 11\r\n") && ends(a, "\r\n\r\n"));
    CHECK(ends(ask("GET http://localhost/abs?q HTTP/1.1\r\n" HEAD "\r\n"), "GET /abs q 0 "));
    CHECK(ends(ask("BREW /pot HTTP/1.1\r\n" HEAD "\r\n"), "OTHER /pot  0 "));
    a = ask("GET /file HTTP/1.1\r\n" HEAD "\r\n");
    CHECK(strstr(a, "Content-Length: 40\r\n") && strstr(a, "\r\n\r\n/* The server over real"));
    CHECK(begins(ask("GET /nobody HTTP/1.1\r\n" HEAD "\r\n"), "HTTP/1.1 500"));
}

static void keeps_connections(void)
{
    int fd = connect_to();
    static const char two[] = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n"
                              "Connection: close\r\n\r\n";
    say(fd, two, sizeof two - 1);
    const char *a = hear_all(fd);
    CHECK(strstr(a, "GET /1  0 ") && ends(a, "GET /2  0 "));
}

static void streams(void)
{
    int before = n_freed;
    const char *a = ask("GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    CHECK(strstr(a, "Transfer-Encoding: chunked") && strstr(a, "tick\n") && ends(a, "0\r\n\r\n"));
    int fd = connect_to();
    static const char forever[] = "GET /forever HTTP/1.1\r\nHost: x\r\n\r\n";
    say(fd, forever, sizeof forever - 1);
    CHECK(recv(fd, answer, 10, 0) > 0);
    close(fd); /* the server notices and frees */
    for (int i = 0; i < 2000 && n_freed < before + 2; i++)
        poll(NULL, 0, 5);
    CHECK(n_freed == before + 2);
}

static void tells_handlers_that_clients_left(void)
{
    int fd = connect_to();
    static const char wait[] = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    say(fd, wait, sizeof wait - 1);
    poll(NULL, 0, 50);
    CHECK(n_gone == 0);
    close(fd);
    for (int i = 0; i < 2000 && n_gone == 0; i++)
        poll(NULL, 0, 5);
    CHECK(n_gone == 1);
}

static void bounds_bodies(void)
{
    char *request = malloc(4 * BODY_LIMIT);
    if (!request)
        return;
    int n = snprintf(request, 400, "POST /p HTTP/1.1\r\n" HEAD "Content-Length: %d\r\n\r\n",
                     2 * BODY_LIMIT);
    memset(request + n, 'x', 2 * BODY_LIMIT);
    request[n + 2 * BODY_LIMIT] = 0;
    CHECK(begins(ask(request), "HTTP/1.1 413"));

    n = snprintf(request, 400,
                 "POST /p HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n%x\r\n",
                 2 * BODY_LIMIT);
    memset(request + n, 'x', 2 * BODY_LIMIT);
    memcpy(request + n + 2 * BODY_LIMIT, "\r\n0\r\n\r\n", 8);
    CHECK(begins(ask(request), "HTTP/1.1 413"));

    n = snprintf(request, 400, "POST /p HTTP/1.1\r\n" HEAD "Content-Length: %d\r\n\r\n",
                 BODY_LIMIT);
    memset(request + n, 'x', BODY_LIMIT);
    request[n + BODY_LIMIT] = 0;
    CHECK(begins(ask(request), "HTTP/1.1 200"));
    free(request);

    /* Who asks first is told before sending. */
    CHECK(
        begins(ask("POST /p HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\nContent-Length: 999999\r\n"
                   "\r\n"),
               "HTTP/1.1 413"));
    CHECK(begins(ask("POST /refused HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n\r\nabc"),
                 "HTTP/1.1 401"));
    CHECK(begins(
        ask("POST /refused HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"),
        "HTTP/1.1 401"));
}

static void refuses_what_is_no_request(void)
{
    static const struct {
        const char *why, *request;
        bool says_why; /* the library answers the others, or just closes */
    } row[] = {
        {"two lengths",
         "POST / HTTP/1.1\r\n" HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", true},
        {"length and chunks",
         "POST / HTTP/1.1\r\n" HEAD
         "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         true},
        {"length that is none", "POST / HTTP/1.1\r\n" HEAD "Content-Length: -1\r\n\r\n", false},
        {"length with a sign", "POST / HTTP/1.1\r\n" HEAD "Content-Length: +1\r\n\r\na", false},
        {"other encoding", "POST / HTTP/1.1\r\n" HEAD "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
         true},
        {"no path", "GET nothing HTTP/1.1\r\n" HEAD "\r\n", true},
        {"no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false},
        {"no request", "\x16\x03\x01\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const char *a = ask(row[i].request);
        bool ok = row[i].says_why ? begins(a, "HTTP/1.1 400") : !a[0] || begins(a, "HTTP/1.1 4");
        if (!ok)
            fprintf(stderr, "%s: %.60s\n", row[i].why, a);
        CHECK(ok);
    }
}

static void bounds_headers(void)
{
    static char request[80000];
    int n = snprintf(request, 100, "GET / HTTP/1.1\r\n" HEAD "X-Long: ");
    memset(request + n, 'a', 60000);
    memcpy(request + n + 60000, "\r\n\r\n", 5);
    const char *a = ask(request);
    CHECK(!a[0] || begins(a, "HTTP/1.1 4"));

    n = snprintf(request, 100, "GET / HTTP/1.1\r\n" HEAD);
    for (int i = 0; i < 200; i++)
        n += snprintf(request + n, 40, "A%d: b\r\n", i);
    memcpy(request + n, "\r\n", 3);
    CHECK(begins(ask(request), "HTTP/1.1 400"));
}

/* A byte now and then keeps no connection for ever: it is cut although it is never idle. */
static void cuts_slow_clients(void)
{
    int fd = connect_to();
    say(fd, "GET / HTTP/1.1\r\nX: ", 19);
    bool cut = false;
    for (int i = 0; i < 200 && !cut; i++) {
        poll(NULL, 0, 50);
        cut = send(fd, "a", 1, MSG_NOSIGNAL) < 0;
    }
    CHECK(cut);
    close(fd);
}

int main(void)
{
    struct http_server_settings s = {.listen = "localhost",
                                     .max_body_bytes = BODY_LIMIT,
                                     .max_connections = 16,
                                     .idle_seconds = 2,
                                     .request_seconds = 5,
                                     .begin = begin,
                                     .handle = handle,
                                     .refuse = refuse,
                                     .done = done};
    struct error err = {0};

    CHECK(http_server_open(&server, &s, &err));
    if (!server) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct http_server *second = NULL;
    s.port = http_server_port(server);
    CHECK(!http_server_open(&second, &s, &err) && err.code == ERROR_IO && !second);
    s.listen = "example.org";
    CHECK(!http_server_open(&second, &s, &err) && err.code == ERROR_INVALID);
    s.listen = "127.0.0.1";
    s.tls_certificate = "/nowhere";
    CHECK(!http_server_open(&second, &s, &err) && err.code == ERROR_INVALID);

    answers_requests();
    keeps_connections();
    streams();
    tells_handlers_that_clients_left();
    bounds_bodies();
    refuses_what_is_no_request();
    bounds_headers();
    cuts_slow_clients();
    http_server_quiesce(server);
    http_server_close(server);
    CHECK(n_done > 20 && last_status >= 0);
    return TEST_END();
}
