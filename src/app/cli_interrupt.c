#include "app/cli_interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* A signal handler has no context, so this is the one place that needs a static variable. */
static atomic_bool asked;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&asked, true);
}

void cli_interrupt_install(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART; /* reading and writing files goes on; runs look at the flag */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupt_asked(void *ctx)
{
    (void)ctx;
    return atomic_load(&asked);
}
