/*
 * The grid of the schedule team: R blocks of batch rows, and U groups for each, between which its units are cut. More
 * blocks: each group reads all of the recurrent weights at every step, for fewer rows. More groups a block: each reads its
 * part only, keeps it in a cache nearer to it, and meets the others after each phase. Two directions of a layer have a
 * grid each, side by side. A model of the time of a step decides.
 */
#ifndef CLSEQ_RNN_TEAM_GRID_H
#define CLSEQ_RNN_TEAM_GRID_H

#include "core/traits.h"

typedef struct clseq__team_grid {
    int blocks, members; /* R, U */
} clseq__team_grid;

/* What it knows of the steps of a layer. */
typedef struct clseq__team_work {
    int64_t rows;                  /* B */
    int64_t input, hidden, output; /* in, H, O */
    int gates, phases;
    int directions; /* that share a launch: 1, or 2 */
} clseq__team_work;

/* Nanoseconds of a time step in all directions, forward and backward together, without the gradients of the weights. */
typedef struct clseq__team_cost {
    double products; /* of h, arithmetic or reading weights, whichever takes longer */
    double input;    /* the step's part of the products of whole chunks */
    double units;    /* maps */
    double meeting;  /* of groups */
    int turns;       /* that the cores take, where there are more groups than cores */
    double total;
    double bytes;                /* of recurrent weights that a group reads, forward */
    bool in_l2;                  /* they lie in its second-level cache */
    int tile_rows, tile_vectors; /* of the tiles of these products, at most */
} clseq__team_cost;

clseq__team_cost clseq__team_cost_of(const clseq__traits *traits, const clseq__team_work *work,
                                     clseq__team_grid grid);

/* The grid, for each direction, of the least cost, of those with no more groups than cores or with one group a block;
 * `blocks` > 0: of those with so many blocks. */
clseq__team_grid clseq__team_choose(const clseq__traits *traits, const clseq__team_work *work, int blocks);

#endif
