#include "app/client_watch.h"

#include "app/cli_interrupt.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_CELLS = 24 };

/* Between two questions. */
static const struct timespec pause_time = {.tv_nsec = 300 * 1000 * 1000};

struct shown {
    bool terminal, line_open;
    char last[160]; /* the line that stands there */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void write_line(char *out, size_t room, const json_t *status, bool terminal)
{
    double percent = json_number_value(json_object_get(status, "progress"));
    const json_t *left = json_object_get(status, "seconds_left");
    const char *state = text_of(status, "state"), *phase = text_of(status, "current_phase");
    char bar[BAR_CELLS + 1], eta[40] = "";

    percent = percent >= 0 && percent <= 100 ? percent : 0; /* false for NaN */
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < (int)(percent / 100 * BAR_CELLS) ? '#' : '-';
    bar[BAR_CELLS] = 0;
    if (json_is_number(left) && json_number_value(left) >= 0 && json_number_value(left) < 1e7) {
        long s = lround(json_number_value(left));
        snprintf(eta, sizeof eta, "  ETA %ld:%02ld", s / 60, s % 60);
    }
    if (terminal)
        snprintf(out, room, "%.40s [%s] %.0f %%%s", phase[0] ? phase : state, bar, percent, eta);
    else
        snprintf(out, room, "%.40s: %.0f %%", phase[0] ? phase : state, floor(percent / 10) * 10);
}

/* Control characters of a server do not reach the terminal. */
static void show(struct shown *shown, FILE *to, const json_t *status)
{
    char line[sizeof shown->last];

    write_line(line, sizeof line, status, shown->terminal);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    if (strcmp(line, shown->last) == 0)
        return;
    memcpy(shown->last, line, sizeof line);
    if (shown->terminal)
        fprintf(to, "\r%s\033[K", line);
    else
        fprintf(to, "%s\n", line);
    fflush(to);
    shown->line_open = shown->terminal;
}

static void take_end(struct client_watch_end *out, const json_t *status)
{
    const json_t *n = json_object_get(status, "images");

    *out = (struct client_watch_end){.n_pictures = 1};
    if (json_is_integer(n) && json_integer_value(n) >= 0 && json_integer_value(n) <= 1024)
        out->n_pictures = (int)json_integer_value(n);
    snprintf(out->file_type, sizeof out->file_type, "%s", text_of(status, "file_type"));
    if (!out->file_type[0] ||
        strspn(out->file_type, "abcdefghijklmnopqrstuvwxyz") != strlen(out->file_type))
        snprintf(out->file_type, sizeof out->file_type, "png");
}

static void tell_warnings(const json_t *status, FILE *to)
{
    size_t i;
    json_t *warning;

    json_array_foreach(json_object_get(status, "warnings"), i, warning) if (json_is_string(warning))
        fprintf(to, "warning: %s\n", json_string_value(warning));
}

/* *over: the job has ended well. */
static bool look(struct client *c, struct json *status, const char *path, bool *over,
                 struct shown *shown, FILE *to, struct error *err)
{
    if (!client_call(c, status, "GET", path, NULL, err))
        return false;
    const char *state = text_of(status->root, "state");
    show(shown, to, status->root);
    *over = strcmp(state, "done") == 0;
    if (strcmp(state, "error") == 0)
        return error_set(err, ERROR_INVALID, "the job failed: %.900s",
                         text_of(status->root, "error"));
    if (strcmp(state, "cancelled") == 0)
        return error_set(err, ERROR_INVALID, "the job was cancelled");
    return true;
}

bool client_watch(struct client *c, const char *id, struct client_watch_end *out, FILE *to,
                  struct error *err)
{
    struct shown shown = {.terminal = isatty(fileno(to)) == 1};
    char path[128];
    struct json status = {0};
    bool ok = true, over = false;

    snprintf(path, sizeof path, "/queue/%s?image=false", id);
    while (ok && !over) {
        json_clear(&status);
        ok = look(c, &status, path, &over, &shown, to, err);
        if (ok && !over && cli_interrupt_asked(NULL))
            ok = error_set(err, ERROR_CANCELLED, "stopped");
        if (ok && !over)
            nanosleep(&pause_time, NULL);
    }
    if (shown.line_open)
        fputs("\r\033[K", to);
    fflush(to);
    if (ok) {
        take_end(out, status.root);
        tell_warnings(status.root, to);
    }
    json_clear(&status);
    return ok;
}
