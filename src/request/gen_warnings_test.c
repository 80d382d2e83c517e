#include "base/test.h"
#include "request/gen_warnings.h"

#include <string.h>

static void keeps_what_fits_and_counts_the_rest(void)
{
    struct gen_warnings w = {0};
    char sentence[2 * GEN_WARNINGS_BYTES];

    memset(sentence, 'x', sizeof sentence - 1);
    sentence[sizeof sentence - 1] = 0;
    gen_warnings_add(&w, "the %s is ignored", "refiner");
    CHECK(w.n == 1 && strcmp(w.text[0], "the refiner is ignored") == 0);
    for (int i = 0; i < GEN_WARNINGS_MAX + 2; i++)
        gen_warnings_add(&w, "%s", sentence);
    CHECK(w.n == GEN_WARNINGS_MAX && w.left_out == 3);
    CHECK(strlen(w.text[GEN_WARNINGS_MAX - 1]) == GEN_WARNINGS_BYTES - 1);
}

int main(void)
{
    keeps_what_fits_and_counts_the_rest();
    return TEST_END();
}
