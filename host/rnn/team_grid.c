/* The grid of the schedule team: a model of the time of a step. */
#include "rnn/team_grid.h"
#include "rnn/floats.h"
#include "rnn/team_tiles.h"
#include <math.h>

/* Nanoseconds, fitted to 22 shapes on two cores of Intel Sapphire Rapids (tests/bench/README.md). */
#define FMA 0.2            /* a vector */
#define ONE_ROW_FMA 0.33   /* with one row, where each sum waits for the one before */
#define READ_L2 0.0105     /* a byte */
#define READ_L3 0.03       /* a byte */
#define MAP 6.0            /* a vector of units in a slot, forward and backward */
#define MEETING 300.0      /* the groups of a block, once */
#define MEETING_OF_EACH 25 /* and for each of them */
#define FROM_OTHERS 0.6    /* a byte that another core has just written */
/* Groups that meet have to be so much better than those that do not, as the model is not exact. */
#define MARGIN 1.05
/*
 * What a core keeps of the weights, of its second-level cache. OpenCL tells the size of the largest cache alone, and the size
 * that the system tells chose worse: cores with half as much (AMD Zen 4) read their third level faster.
 */
#define L2_BYTES 1.2e6

/* Of `vectors` vectors of weights, each times so many rows, in tiles; a byte of them takes so long to come. */
static double product(double vectors, int64_t rows, int64_t tile_rows, double bytes, double byte)
{
    const double arithmetic = vectors * (double)rows * (rows == 1 ? ONE_ROW_FMA : FMA);
    /* Tiles after the first find what they read in the first-level cache, where K is cut into blocks for it. */
    const double first = arithmetic / (double)clseq__divided(rows, tile_rows);
    return arithmetic - first + fmax(first, bytes * byte);
}

/* Of the product of h: the gates of a panel, or panels of a single one. */
static int tile_vectors(const clseq__traits *traits, const clseq__team_work *work, int64_t rows,
                        int64_t panels)
{
    const int64_t left = work->gates > 1 ? work->gates : panels;
    return work->gates == 3 ? 3 : (int)TEAM_TILE_VECTORS(traits->vector_registers, left, rows);
}

clseq__team_cost clseq__team_cost_of(const clseq__traits *traits, const clseq__team_work *work,
                                     clseq__team_grid grid)
{
    const int64_t VW = traits->vector_width, rows = clseq__divided(work->rows, grid.blocks);
    const int64_t panels = clseq__divided(clseq__divided(work->hidden, VW), grid.members);
    const double vectors = (double)(panels * work->gates * work->output);
    const double inputs = (double)(panels * work->gates * work->input);
    clseq__team_cost c = {.bytes = vectors * (double)VW * 4};
    c.in_l2 = c.bytes <= L2_BYTES;
    c.tile_vectors = tile_vectors(traits, work, rows, panels);
    c.tile_rows = TEAM_TILE_ROWS(traits->vector_registers, c.tile_vectors);
    /* Forward and backward each read the weights once, in a form of their own. */
    c.products = 2 * product(vectors, rows, c.tile_rows, c.bytes, c.in_l2 ? READ_L2 : READ_L3);
    c.input = 2 * inputs * (double)rows * FMA;
    c.units = (double)(panels * work->gates * rows) * MAP;
    if (grid.members > 1) {
        /* h forward and the gates backward, but for a group's own part. */
        const double others = 4.0 * (double)(rows * (work->output + work->gates * work->hidden)) *
                              (grid.members - 1) / grid.members;
        c.meeting =
            2 * work->phases * (MEETING + MEETING_OF_EACH * (double)grid.members) + FROM_OTHERS * others;
    }
    c.turns = (int)clseq__divided((int64_t)work->directions * grid.blocks * grid.members, traits->groups);
    c.total = c.turns * (c.products + c.input + c.units + c.meeting);
    return c;
}

/* What a grid is chosen by. */
static double judged(const clseq__traits *traits, const clseq__team_work *work, clseq__team_grid grid)
{
    return clseq__team_cost_of(traits, work, grid).total * (grid.members > 1 ? MARGIN : 1);
}

/* Whether as many parts as that have a largest one that is smaller than that of one part fewer. */
static bool is_finer(int64_t n, int parts)
{
    return parts == 1 || clseq__divided(n, parts) < clseq__divided(n, parts - 1);
}

clseq__team_grid clseq__team_choose(const clseq__traits *traits, const clseq__team_work *work, int blocks)
{
    const int64_t panels = clseq__divided(work->hidden, traits->vector_width);
    clseq__team_grid best = {.blocks = blocks > 0 ? blocks : 1, .members = 1};
    double least = judged(traits, work, best);
    for (int R = 1; R <= traits->groups && R <= work->rows; R++) {
        if (blocks > 0 ? R != blocks : !is_finer(work->rows, R))
            continue;
        for (int U = 1; U <= panels && (U == 1 || work->directions * U * R <= traits->groups); U++) {
            const clseq__team_grid grid = {.blocks = R, .members = U};
            const double cost = is_finer(panels, U) ? judged(traits, work, grid) : least;
            if (cost >= least)
                continue;
            best = grid;
            least = cost;
        }
    }
    return best;
}
