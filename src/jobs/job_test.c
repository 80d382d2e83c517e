#include "base/test.h"
#include "jobs/job.h"

#include <string.h>

static void allows_exactly_the_moves_of_the_table(void)
{
    /* Row: from; column: to.  Q L P D E C. */
    static const char *const want[JOB_N_STATES] = {
        "010011", /* queued */
        "101011", /* loading */
        "100111", /* processing */
        "000010", /* done: only when its files are gone */
        "000000", /* error */
        "000000", /* cancelled */
    };
    for (int from = 0; from < JOB_N_STATES; from++) {
        for (int to = 0; to < JOB_N_STATES; to++) {
            const bool may = job_may_move((enum job_state)from, (enum job_state)to);
            if (may != (want[from][to] == '1'))
                fprintf(stderr, "%s to %s\n", job_state_name((enum job_state)from),
                        job_state_name((enum job_state)to));
            CHECK(may == (want[from][to] == '1'));
        }
    }
    CHECK(!job_may_move((enum job_state)JOB_N_STATES, JOB_QUEUED));
    CHECK(!job_may_move(JOB_QUEUED, (enum job_state)99));
}

static void never_leaves_a_last_state_for_work(void)
{
    for (int from = 0; from < JOB_N_STATES; from++)
        for (int to = 0; to < JOB_N_STATES; to++)
            if (job_is_final((enum job_state)from) && !job_is_final((enum job_state)to))
                CHECK(!job_may_move((enum job_state)from, (enum job_state)to));
}

static void names_every_state_and_finds_it_again(void)
{
    enum job_state s = JOB_QUEUED;
    for (int i = 0; i < JOB_N_STATES; i++)
        CHECK(job_state_find(&s, job_state_name((enum job_state)i)) && (int)s == i);
    CHECK(!job_state_find(&s, "unknown") && !job_state_find(&s, ""));
    CHECK(strcmp(job_state_name((enum job_state)77), "unknown") == 0);
}

static void makes_random_ids_of_version_4(void)
{
    enum { N = 2000 };
    static char id[N][JOB_ID_BYTES];
    for (int i = 0; i < N; i++) {
        job_new_id(id[i]);
        CHECK(job_id_is_valid(id[i]));
        CHECK(id[i][14] == '4' && strchr("89ab", id[i][19]));
        for (int k = 0; k < i; k++)
            CHECK(strcmp(id[i], id[k]) != 0);
    }
}

static void refuses_what_is_no_id(void)
{
    static const char *const bad[] = {
        "",
        "a",
        "../../../../../../../../../etc/passwd",
        "3F2504E0-4F89-41D3-9A0C-0305E82C3301",  /* upper case */
        "3f2504e0-4f89-41d3-9a0c-0305e82c330",   /* short */
        "3f2504e0-4f89-41d3-9a0c-0305e82c33011", /* long */
        "3f2504e0-4f89-41d3-9a0c-0305e82c330/",
        "3f2504e0+4f89-41d3-9a0c-0305e82c3301",
        "3f2504e004f8904 1d3a9a0cb0305e82c3301",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!job_id_is_valid(bad[i]));
    CHECK(job_id_is_valid("3f2504e0-4f89-41d3-9a0c-0305e82c3301"));
}

static void cuts_long_text_between_characters(void)
{
    char out[6];
    job_set_text(out, sizeof out, "abc");
    CHECK(strcmp(out, "abc") == 0);
    job_set_text(out, sizeof out, "abcdefg");
    CHECK(strcmp(out, "abcde") == 0);
    job_set_text(out, sizeof out, "abcd\xc3\xa4");
    CHECK(strcmp(out, "abcd") == 0);
    job_set_text(out, sizeof out, "abc\xc3\xa4x");
    CHECK(strcmp(out, "abc\xc3\xa4") == 0);
    job_set_text(out, sizeof out, NULL);
    CHECK(out[0] == 0);
}

int main(void)
{
    allows_exactly_the_moves_of_the_table();
    never_leaves_a_last_state_for_work();
    names_every_state_and_finds_it_again();
    makes_random_ids_of_version_4();
    refuses_what_is_no_id();
    cuts_long_text_between_characters();
    return TEST_END();
}
