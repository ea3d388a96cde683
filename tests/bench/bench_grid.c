/*
 * bench_grid - what the schedule team would do on machines with more cores: the grids that its model chooses for
 * one-layer lines of the benchmark set, for each direction where there are two, and the times of a step that it predicts.
 * Nothing runs; the output is a table in Markdown.
 *
 *     bench_grid [FLOATS]         a vector of 16, or of so many floats
 */
#include "rnn/team_grid.h"
#include <stdio.h>
#include <stdlib.h>

static const struct line {
    const char *id;
    int B, I, H, directions;
} lines[] = {
    {"tiny", 1, 24, 32, 2},     {"S7", 1, 256, 256, 1},    {"H512B1", 1, 512, 512, 1},
    {"wide", 8, 2048, 2048, 1}, {"long", 16, 64, 64, 1},   {"bi", 32, 256, 256, 2},
    {"o100", 32, 100, 100, 1},  {"S5", 32, 1024, 1024, 1}, {"S6-1", 50, 128, 128, 1},
    {"S1", 64, 256, 256, 1},    {"S3", 64, 512, 512, 1},   {"H1024B64", 64, 1024, 1024, 1},
};
static const int cores[] = {2, 8, 32, 128};
enum { LINES = sizeof lines / sizeof lines[0], MACHINES = sizeof cores / sizeof cores[0] };

int main(int argc, char **argv)
{
    const int width = argc > 1 ? atoi(argv[1]) : 16;
    if (width != 4 && width != 8 && width != 16) {
        fprintf(stderr, "usage: bench_grid [4|8|16]\n");
        return 2;
    }
    printf("| id | B | H |");
    for (int m = 0; m < MACHINES; m++)
        printf(" %d cores |", cores[m]);
    printf("\n|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < LINES; i++) {
        const struct line *l = &lines[i];
        const clseq__team_work work = {.rows = l->B,
                                       .input = l->I,
                                       .hidden = l->H,
                                       .output = l->H,
                                       .gates = 4,
                                       .phases = 1,
                                       .directions = l->directions};
        printf("| %s | %d | %d |", l->id, l->B, l->H);
        for (int m = 0; m < MACHINES; m++) {
            const clseq__traits traits = {.groups = cores[m], .vector_width = width};
            const clseq__team_grid grid = clseq__team_choose(&traits, &work, 0);
            const clseq__team_cost cost = clseq__team_cost_of(&traits, &work, grid);
            const double us = cost.total * 1e-3;
            printf(" %dx%d %.*f |", grid.blocks, grid.members, us < 10 ? 2 : us < 100 ? 1 : 0, us);
        }
        printf("\n");
    }
    return 0;
}
