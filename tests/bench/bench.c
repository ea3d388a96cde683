#include "bench/bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MOST_ROUNDS 1001

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

void bench_compare(bench_candidate *candidates, size_t count, bench_plan plan)
{
    const int warm_up = plan.warm_up > 0 ? plan.warm_up : 3, rounds = plan.rounds > 0 ? plan.rounds : 21;
    const double least = plan.seconds > 0 ? plan.seconds : 0.5;
    double *times = malloc(count * MOST_ROUNDS * sizeof *times);
    if (!times) {
        fprintf(stderr, "bench: no memory\n");
        abort();
    }
    double begin = bench_now();
    int done = 0;
    for (int round = -warm_up; done < MOST_ROUNDS && (round < rounds || bench_now() - begin < least);
         round++) {
        for (size_t i = 0; i < count; i++) {
            if (!candidates[i].run)
                continue;
            double start = bench_now();
            candidates[i].run(candidates[i].user);
            times[i * MOST_ROUNDS + (size_t)done] = bench_now() - start;
        }
        if (round >= 0)
            done++;
        else
            begin = bench_now();
    }
    for (size_t i = 0; i < count; i++)
        candidates[i].seconds = candidates[i].run ? bench_median(times + i * MOST_ROUNDS, (size_t)done) : 0;
    free(times);
}
