#include "refcheck.h"

#include <math.h>
#include <stdio.h>

void refcheck_row(struct refcheck *r, const char *name, double error, double limit)
{
    const bool good = error <= limit; /* false for what is not a number */

    r->passed += good;
    r->failed += !good;
    if (!good || !r->quiet)
        printf("%s  %-52s error %-9.2g limit %.2g\n", good ? "PASS" : "FAIL", name, error, limit);
}

void refcheck_fail(struct refcheck *r, const char *name, const char *why)
{
    r->failed++;
    printf("FAIL  %-52s %s\n", name, why);
}

void refcheck_skip(struct refcheck *r, const char *name, const char *why)
{
    r->skipped++;
    if (!r->quiet)
        printf("SKIP  %-52s %s\n", name, why);
}

double refcheck_error(const float *have, const float *want, size_t n)
{
    double worst = 0, largest = 0;

    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)have[i] - (double)want[i]);
        if (!(d <= worst))
            worst = isnan(d) ? INFINITY : d;
        largest = fmax(largest, fabs((double)want[i]));
    }
    return largest > 0 ? worst / largest : worst;
}
