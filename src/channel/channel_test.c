#include "base/clock.h"
#include "base/test.h"
#include "base/thread.h"
#include "channel/channel.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct error err;

static void open_two(struct channel **a, struct channel **b)
{
    int fd[2];
    CHECK(channel_pair(fd, &err));
    CHECK(channel_open(a, fd[0], &err) && channel_open(b, fd[1], &err));
}

static void write_int(struct channel *c, int n)
{
    json_t *doc = json_pack("{s:i}", "n", n);
    CHECK(channel_write(c, doc, 1000, &err));
    json_decref(doc);
}

static int read_int(struct channel *c)
{
    struct json j;
    enum channel_got got;
    bool readable;
    int n = -1;
    for (;;) {
        if (!channel_read(c, &got, &j, &err))
            return -2;
        if (got == CHANNEL_END)
            return -3;
        if (got == CHANNEL_DOCUMENT)
            break;
        if (!channel_wait(c, 5000, &readable, &err) || !readable)
            return -4;
    }
    CHECK(json_want_int(&j, "n", 0, 1 << 30, &n, &err));
    json_clear(&j);
    return n;
}

static void carries_documents_both_ways(void)
{
    struct channel *a, *b;
    struct json j;
    enum channel_got got;
    bool readable = true;
    open_two(&a, &b);
    CHECK(channel_read(a, &got, &j, &err) && got == CHANNEL_NOTHING);
    CHECK(channel_wait(a, 10, &readable, &err) && !readable);
    for (int i = 0; i < 100; i++) {
        write_int(a, i);
        write_int(b, 1000 + i);
    }
    for (int i = 0; i < 100; i++)
        CHECK(read_int(b) == i && read_int(a) == 1000 + i);
    /* Newlines in texts stay inside. */
    json_t *doc = json_pack("{s:s}", "text", "one\ntwo\r\n\xe2\x80\xa8");
    const char *text = NULL;
    CHECK(channel_write(a, doc, 1000, &err));
    CHECK(channel_read(b, &got, &j, &err) && got == CHANNEL_DOCUMENT);
    CHECK(json_want_string(&j, "text", &text, &err));
    CHECK(text && strcmp(text, "one\ntwo\r\n\xe2\x80\xa8") == 0);
    json_clear(&j);
    json_decref(doc);
    channel_close(a);
    channel_close(b);
}

static void sees_the_end_behind_the_last_document(void)
{
    struct channel *a, *b;
    open_two(&a, &b);
    write_int(a, 7);
    CHECK(send(channel_fd(a), "{\"n\":", 5, 0) == 5); /* a line that is never ended */
    channel_close(a);
    CHECK(read_int(b) == 7 && read_int(b) == -3 && read_int(b) == -3);
    /* Writing to nobody is an error, not a signal, and stays one. */
    json_t *doc = json_object();
    CHECK(!channel_write(b, doc, 100, &err) && err.code == ERROR_IO);
    CHECK(!channel_write(b, doc, 100, &err) && err.code == ERROR_IO);
    json_decref(doc);
    channel_close(b);
}

static void notices_a_killed_peer(void)
{
    int fd[2], status;
    CHECK(channel_pair(fd, &err));
    const pid_t child = fork();
    if (child == 0) {
        close(fd[0]);
        kill(getpid(), SIGKILL);
    }
    close(fd[1]);
    struct channel *a;
    CHECK(channel_open(&a, fd[0], &err));
    CHECK(read_int(a) == -3);
    CHECK(waitpid(child, &status, 0) == child);
    channel_close(a);
}

static void refuses_what_is_no_document(void)
{
    static const char *const bad[] = {
        "hello\n", "[1]\n", "{\"a\":1} {\n", "\n", "{\"a\":1,\"a\":2}\n", "{\"a\":\"\xff\"}\n",
        "7\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct channel *a, *b;
        struct json j;
        enum channel_got got;
        open_two(&a, &b);
        CHECK(send(channel_fd(a), bad[i], strlen(bad[i]), 0) == (ssize_t)strlen(bad[i]));
        CHECK(!channel_read(b, &got, &j, &err) && err.code != ERROR_NONE);
        channel_close(a);
        channel_close(b);
    }
}

static void refuses_to_write_what_it_would_not_read(void)
{
    struct channel *a, *b;
    open_two(&a, &b);
    char *text = malloc(CHANNEL_LINE_MAX_BYTES + 1);
    CHECK(text != NULL);
    memset(text, 'x', CHANNEL_LINE_MAX_BYTES);
    text[CHANNEL_LINE_MAX_BYTES] = 0;
    json_t *doc = json_pack("{s:s}", "n", text), *list = json_array();
    CHECK(!channel_write(a, doc, 100, &err) && err.code == ERROR_LIMIT);
    CHECK(!channel_write(a, list, 100, &err) && err.code == ERROR_INVALID);
    write_int(a, 5); /* nothing was written, so all is well */
    CHECK(read_int(b) == 5);
    json_decref(doc);
    json_decref(list);
    free(text);
    channel_close(a);
    channel_close(b);
}

static void gives_up_on_a_peer_that_does_not_read(void)
{
    struct channel *a, *b;
    open_two(&a, &b);
    char *text = calloc(1, 300001);
    CHECK(text != NULL);
    memset(text, 'x', 300000);
    json_t *doc = json_pack("{s:s}", "n", text);
    const double start = clock_seconds();
    bool ok = true;
    for (int i = 0; ok && i < 100; i++)
        ok = channel_write(a, doc, 50, &err);
    CHECK(!ok && err.code == ERROR_BUSY && clock_seconds() - start >= 0.05);
    CHECK(!channel_write(a, doc, 50, &err) && err.code == ERROR_IO); /* a line may be cut */
    json_decref(doc);
    free(text);
    channel_close(a);
    channel_close(b);
}

static void refuses_a_line_without_end(void)
{
    struct channel *a, *b;
    struct json j;
    enum channel_got got = CHANNEL_NOTHING;
    char block[4096];
    bool ok = true;
    size_t n = 0;
    memset(block, 'x', sizeof block);
    open_two(&a, &b);
    while (ok && n < 4 * CHANNEL_LINE_MAX_BYTES) {
        const ssize_t sent = send(channel_fd(a), block, sizeof block, 0);
        n += sent > 0 ? (size_t)sent : 0;
        ok = channel_read(b, &got, &j, &err);
        CHECK(!ok || got == CHANNEL_NOTHING);
    }
    CHECK(!ok && err.code == ERROR_LIMIT && n <= 2 * CHANNEL_LINE_MAX_BYTES);
    channel_close(a);
    channel_close(b);
}

enum { N_WRITERS = 4, EACH = 2000 };

static void *write_many(void *arg)
{
    struct channel *c = arg;
    struct error mine = {0};
    char text[301];
    memset(text, 'y', 300);
    text[300] = 0;
    for (int i = 0; i < EACH; i++) {
        json_t *doc = json_pack("{s:i,s:s}", "n", i, "text", text);
        CHECK(channel_write(c, doc, 10000, &mine));
        json_decref(doc);
    }
    return NULL;
}

static void keeps_lines_of_many_writers_apart(void)
{
    struct channel *a, *b;
    pthread_t t[N_WRITERS];
    int64_t sum = 0;
    open_two(&a, &b);
    for (int i = 0; i < N_WRITERS; i++)
        CHECK(thread_start(&t[i], write_many, a, 0, &err));
    for (int i = 0; i < N_WRITERS * EACH; i++) {
        const int n = read_int(b);
        CHECK(n >= 0);
        sum += n;
        if (n < 0)
            break;
    }
    for (int i = 0; i < N_WRITERS; i++)
        pthread_join(t[i], NULL);
    CHECK(sum == (int64_t)N_WRITERS * EACH * (EACH - 1) / 2);
    channel_close(a);
    channel_close(b);
}

static void refuses_what_is_no_socket(void)
{
    struct channel *c;
    int fd[2];
    CHECK(pipe(fd) == 0);
    CHECK(!channel_open(&c, fd[0], &err) && !c);
    CHECK(!channel_open(&c, -1, &err));
    close(fd[1]);
    channel_close(NULL);
}

int main(void)
{
    carries_documents_both_ways();
    sees_the_end_behind_the_last_document();
    notices_a_killed_peer();
    refuses_what_is_no_document();
    refuses_to_write_what_it_would_not_read();
    gives_up_on_a_peer_that_does_not_read();
    refuses_a_line_without_end();
    keeps_lines_of_many_writers_apart();
    refuses_what_is_no_socket();
    return TEST_END();
}
