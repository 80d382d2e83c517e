#include "api/api_wait.h"
#include "base/clock.h"
#include "base/test.h"
#include "base/thread.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct job_queue *queue;
static struct api_wait *hub;
static struct error err;
static _Atomic bool stopping;
static char id[JOB_ID_BYTES];

static void *end_the_job(void *arg)
{
    struct job job = {0};
    struct error e;
    bool found;
    static const struct job_progress p = {.phase = "denoise", .progress = 0.5, .seconds_left = 1};
    (void)arg;

    poll(NULL, 0, 30);
    CHECK(job_queue_next(queue, &job, &found, &e) && found && job_queue_start(queue, job.id, &e));
    poll(NULL, 0, 30);
    job_queue_progress(queue, job.id, &p);
    poll(NULL, 0, 30);
    CHECK(job_queue_fail(queue, job.id, "invalid", "no reason", &e));
    job_clear(&job);
    return NULL;
}

static struct api_call call_of(struct api *api, struct http_request *r)
{
    return (struct api_call){.api = api, .request = r};
}

static void submit(void)
{
    const struct job_submission s = {.family = "native", .request = "{}"};
    CHECK(job_queue_submit(queue, id, &s, &err));
}

static void wakes_at_the_end_of_a_job(struct api *api)
{
    struct http_request r = {.fd = -1};
    struct api_call call = call_of(api, &r);
    struct job job = {0};
    enum api_wait_end end;
    pthread_t t;

    submit();
    CHECK(api_wait_for_end(&call, &end, &job, id, 0.02, &err) && end == API_WAIT_TIME);
    CHECK(job.state == JOB_QUEUED);
    CHECK(thread_start(&t, end_the_job, NULL, 0, &err));
    CHECK(api_wait_for_end(&call, &end, &job, id, -1, &err) && end == API_WAIT_ENDED);
    CHECK(job.state == JOB_ERROR && strcmp(job.error_text, "no reason") == 0);
    pthread_join(t, NULL);
    CHECK(!api_wait_for_end(&call, &end, &job, "00000000-0000-4000-8000-000000000000", 1, &err) &&
          err.code == ERROR_NOT_FOUND);
    job_clear(&job);
}

static void misses_no_change(void)
{
    struct http_request r = {.fd = -1};
    uint64_t mark = api_wait_mark(hub);

    api_wait_changed(hub, id); /* between the mark and the wait */
    CHECK(api_wait_for_change(hub, &r, id, mark, 5) == API_WAIT_ENDED);
    CHECK(api_wait_for_change(hub, &r, id, api_wait_mark(hub), 0.02) == API_WAIT_TIME);
}

static void notices_that_the_client_left(void)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    struct http_request r = {.fd = pair[0]};
    close(pair[1]);
    CHECK(api_wait_for_change(hub, &r, id, api_wait_mark(hub), 30) == API_WAIT_CLIENT_GONE);
    close(pair[0]);
}

static void wakes_everybody_at_the_end(struct api *api)
{
    struct http_request r = {.fd = -1};
    struct api_call call = call_of(api, &r);
    struct job job = {0};
    enum api_wait_end end;

    submit();
    api_wait_stop(hub);
    CHECK(api_wait_for_end(&call, &end, &job, id, -1, &err) && end == API_WAIT_STOPPING);
    job_clear(&job);
}

int main(void)
{
    char folder[] = "/tmp/api_wait_test.XXXXXX", command[80];
    struct job_queue_settings s = {.folder = folder, .max_queued = 10, .max_attempts = 2};

    CHECK(mkdtemp(folder) != NULL);
    CHECK(api_wait_open(&hub, &err) && job_queue_open(&queue, &s, &err));
    job_queue_on_change(queue, api_wait_changed, hub);
    struct api api = {.queue = queue, .wait = hub, .stopping = &stopping};
    wakes_at_the_end_of_a_job(&api);
    misses_no_change();
    notices_that_the_client_left();
    wakes_everybody_at_the_end(&api);
    job_queue_close(queue);
    api_wait_close(hub);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || TEST_END();
}
