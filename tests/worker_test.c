/* The real worker under the real supervisor: worker_test PROGRAM MKCHECKPOINT.  What it is asked to
 * do, what it refuses, and what becomes of a job whose worker is killed or hangs. */
#include "base/fs.h"
#include "base/test.h"
#include "jobs/job_files.h"
#include "tests/worker_server.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static struct worker_server server;
static struct worker_server *const v = &server;

/* Long enough to be met while it runs. */
static const char slow[] = ",\"steps\":150,\"width\":256,\"height\":256";

static pid_t worker_pid(void)
{
    struct supervisor_status t;
    const double deadline = clock_seconds() + 30;

    do {
        worker_server_pause(0.002);
        supervisor_status(v->supervisor, &t);
    } while (!t.worker_up && clock_seconds() < deadline);
    CHECK(t.worker_up);
    return t.worker_pid;
}

static void makes_pictures(void)
{
    char id[JOB_ID_BYTES], path[JOB_FILES_PATH_BYTES], name[80];
    struct error err = {0};
    struct stat st;

    CHECK(worker_server_submit(v, id, WORKER_SERVER_SMALL ",\"n_iter\":2,\"file_type\":\"jpg\"",
                               NULL, 0));
    struct job j = worker_server_wait(v, id, JOB_DONE);
    CHECK(j.state == JOB_DONE && j.attempts == 1);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s.%d.jpg", id, i);
        CHECK(job_files_output(job_queue_files(v->queue), path, id, name, &err));
        CHECK(j.outputs && strstr(j.outputs, name) && stat(path, &st) == 0);
    }
    CHECK(j.result && strstr(j.result, "\"seeds\":[7,8]") && strstr(j.result, "measured_peak"));
    job_clear(&j);
}

/* The network doubles; what is left to three times is for the filter, after a second pass of it. */
static void enlarges_with_a_network(const char *mkcheckpoint)
{
    static const struct {
        const char *more, *width;
        bool from_file;
    } row[] = {
        {",\"mode\":\"upscale\",\"upscaler_1\":\"UP\",\"upscaling_resize\":3", "\"width\":192,",
         true},
        {",\"mode\":\"upscale\",\"upscaler_1\":\"up\",\"upscaler_2\":\"Lanczos\",\"upscaler_2_"
         "visibility\":0.5",
         "\"width\":128,", true},
        {WORKER_SERVER_SMALL
         ",\"hires\":{\"enabled\":true,\"upscaler\":\"up\",\"scale\":2,\"steps\":2}",
         "\"width\":128,", false},
    };
    char id[JOB_ID_BYTES], name[80], path[JOB_FILES_PATH_BYTES], command[600], *bytes = NULL;
    size_t len = 0;
    struct error err = {0};

    snprintf(command, sizeof command,
             "mkdir -p '%.200s' && '%.200s' esrgan '%.100s/up.safetensors' --scale 2",
             v->settings.upscalers_dir, mkcheckpoint, v->settings.upscalers_dir);
    CHECK(system(command) == 0);
    CHECK(worker_server_submit(v, id, WORKER_SERVER_SMALL, NULL, 0));
    struct job j = worker_server_wait(v, id, JOB_DONE);
    snprintf(name, sizeof name, "%s.0.png", id);
    CHECK(job_files_output(job_queue_files(v->queue), path, id, name, &err) &&
          fs_read(&bytes, &len, path, 1 << 20, &err));
    job_clear(&j);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        CHECK(worker_server_submit(v, id, row[i].more, row[i].from_file ? bytes : NULL, len));
        j = worker_server_wait(v, id, JOB_DONE);
        CHECK(j.state == JOB_DONE && j.result && strstr(j.result, row[i].width));
        CHECK(j.result && strstr(j.result, "a red circle"));
        job_clear(&j);
    }
    free(bytes);
}

static void ends_in_a_sentence(void)
{
    static const struct {
        const char *more, *image, *code, *says;
    } row[] = {
        {",\"model\":\"nowhere\"", NULL, "not_found", "nowhere"},
        {",\"model\":\"../../etc\"", NULL, "not_found", "etc"},
        {",\"mode\":\"img2img\"", NULL, "invalid", "needs a picture"},
        {",\"mode\":\"img2img\"", "\x89PNG\r\n\x1a\n and then nothing", "corrupt", "image: "},
        {",\"mode\":\"img2img\"", "GIF? no", "corrupt", "image: not a picture"},
        {",\"vae\":\"nothing\"", NULL, "not_found", "vae: "},
        {",\"size_policy\":\"refuse\",\"width\":4096,\"height\":4096", NULL, "limit", "4096x4096"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char id[JOB_ID_BYTES];
        if (strcmp(row[i].code, "limit") == 0 && WORKER_SERVER_BUDGET == SETTINGS_BYTES_AUTO)
            continue;
        CHECK(worker_server_submit(v, id, row[i].more, row[i].image,
                                   row[i].image ? strlen(row[i].image) : 0));
        struct job j = worker_server_wait(v, id, JOB_ERROR);
        CHECK(j.state == JOB_ERROR && j.attempts == 1);
        CHECK(strcmp(j.error_code, row[i].code) == 0 && strstr(j.error_text, row[i].says));
        if (strcmp(j.error_code, row[i].code) != 0 || !strstr(j.error_text, row[i].says))
            fprintf(stderr, "%s: %s: %s\n", row[i].more, j.error_code, j.error_text);
        job_clear(&j);
    }
}

static void draws_again_after_a_kill(void)
{
    char id[JOB_ID_BYTES];

    CHECK(worker_server_submit(v, id, ",\"width\":128,\"height\":128,\"steps\":30", NULL, 0));
    struct job j = worker_server_wait(v, id, JOB_PROCESSING);
    job_clear(&j);
    CHECK(kill(worker_pid(), SIGKILL) == 0);
    j = worker_server_wait(v, id, JOB_DONE);
    CHECK(j.state == JOB_DONE && j.attempts == 2);
    job_clear(&j);
}

/* Every attempt is killed; with SIGSTOP the worker only stops moving. */
static void gives_up_in_the_end(int number, const char *says)
{
    char id[JOB_ID_BYTES];

    CHECK(worker_server_submit(v, id, slow, NULL, 0));
    for (int attempt = 1; attempt <= 2; attempt++) {
        struct job j;
        do { /* the state may still be the last attempt's */
            j = worker_server_wait(v, id, JOB_PROCESSING);
            const bool is_it = j.attempts == attempt || job_is_final(j.state);
            job_clear(&j);
            if (is_it)
                break;
            worker_server_pause(0.005);
        } while (true);
        CHECK(kill(worker_pid(), number) == 0);
    }
    struct job j = worker_server_wait(v, id, JOB_ERROR);
    CHECK(j.state == JOB_ERROR && j.attempts == 2);
    CHECK(strcmp(j.error_code, "worker_died") == 0 && strstr(j.error_text, says));
    if (!strstr(j.error_text, says))
        fprintf(stderr, "%s\n", j.error_text);
    job_clear(&j);
}

static void cancels_and_interrupts(void)
{
    char id[JOB_ID_BYTES];
    struct error err = {0};

    CHECK(worker_server_submit(v, id, slow, NULL, 0));
    struct job j = worker_server_wait(v, id, JOB_PROCESSING);
    job_clear(&j);
    CHECK(supervisor_cancel(v->supervisor, id, NULL, &err));
    j = worker_server_wait(v, id, JOB_CANCELLED);
    CHECK(j.state == JOB_CANCELLED);
    job_clear(&j);

    CHECK(worker_server_submit(v, id, slow, NULL, 0));
    j = worker_server_wait(v, id, JOB_PROCESSING);
    job_clear(&j);
    CHECK(supervisor_interrupt(v->supervisor, id));
    j = worker_server_wait(v, id, JOB_DONE);
    CHECK(j.state == JOB_DONE && j.result && strstr(j.result, "\"finished_early\":true"));
    job_clear(&j);
}

static void shows_previews(void)
{
    char id[JOB_ID_BYTES];
    struct error err = {0};

    CHECK(worker_server_submit(
        v, id, ",\"steps\":150,\"width\":256,\"height\":256,\"preview\":true", NULL, 0));
    const double deadline = clock_seconds() + 60;
    bool seen = false;
    while (!seen && clock_seconds() < deadline) {
        struct job j = {0};
        CHECK(job_queue_get(v->queue, &j, id, &err));
        seen = j.preview[0] && strstr(j.preview, ".preview.png");
        const bool over = job_is_final(j.state);
        job_clear(&j);
        if (over)
            break;
        worker_server_pause(0.01);
    }
    CHECK(seen);
    CHECK(supervisor_cancel(v->supervisor, id, NULL, &err));
    struct job j = worker_server_wait(v, id, JOB_CANCELLED);
    job_clear(&j);
}

static bool at_once(void *ctx)
{
    (void)ctx;
    return true;
}

static void answers_while_it_draws(void)
{
    const struct supervisor_patience patient = {.timeout_ms = 30000}, leaving = {30000, at_once, v};
    json_t *answer, *question = json_pack("{s:{s:s, s:i, s:i}}", "job", "prompt", "x", "width", 128,
                                          "height", 64);
    char id[JOB_ID_BYTES];
    struct error err = {0};

    CHECK(worker_server_submit(v, id, slow, NULL, 0));
    struct job j = worker_server_wait(v, id, JOB_PROCESSING);
    job_clear(&j);
    CHECK(supervisor_ask(v->supervisor, "plan", question, &answer, &patient, &err));
    CHECK(json_integer_value(json_object_get(json_object_get(answer, "used"), "width")) == 128);
    json_decref(answer);
    CHECK(supervisor_ask(v->supervisor, "memory", NULL, &answer, &patient, &err));
    CHECK(json_integer_value(json_object_get(answer, "reserved_bytes")) > 0);
    json_decref(answer);
    json_object_set_new(json_object_get(question, "job"), "width", json_integer(1));
    CHECK(!supervisor_ask(v->supervisor, "plan", question, &answer, &patient, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "width is a whole number"));
    /* Whoever goes, or had the answer before that could be seen, keeps nobody waiting. */
    if (supervisor_ask(v->supervisor, "plan", question, &answer, &leaving, &err))
        json_decref(answer);
    json_object_set_new(json_object_get(question, "job"), "width", json_integer(64));
    CHECK(supervisor_ask(v->supervisor, "plan", question, &answer, &patient, &err));
    json_decref(answer);
    json_decref(question);
    CHECK(supervisor_cancel(v->supervisor, id, NULL, &err));
    CHECK(supervisor_ask(v->supervisor, "unload", NULL, &answer, &patient, &err));
    CHECK(json_is_null(json_object_get(answer, "model")));
    json_decref(answer);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/worker_test.XXXXXX", command[64];

    if (argc != 3 || !mkdtemp(folder)) {
        fprintf(stderr, "worker_test PROGRAM MKCHECKPOINT\n");
        return 1;
    }
    worker_server_open(v, argv[1], folder, 15);
    makes_pictures();
    enlarges_with_a_network(argv[2]);
    ends_in_a_sentence();
    draws_again_after_a_kill();
    gives_up_in_the_end(SIGKILL, "attempt 2 of 2: the worker was ended by signal 9");
    gives_up_in_the_end(SIGSTOP, "no sign of life");
    cancels_and_interrupts();
    shows_previews();
    answers_while_it_draws();
    worker_server_close(v, 10);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
    return TEST_END();
}
