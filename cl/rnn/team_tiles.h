/* The tiles of the schedule team's products, for kernels and for the host, which tells of them and reckons with them. */
#ifndef RNN_TEAM_TILES_H
#define RNN_TEAM_TILES_H

/* The most rows of a tile with so many vectors of sums, so that all of it stays in the registers. */
#define TEAM_TILE_ROWS(registers, vectors) \
    ((vectors) == 1 ? 4 : (vectors) == 2 || (registers) >= 32 ? 6 : (vectors) == 3 ? 4 : 3)

/*
 * How many of `left` vectors to take at once for a product with so many rows: never three, whose tiles would take as long to
 * compile as those of four and run no faster than two and one.
 */
#define TEAM_TILE_VECTORS(registers, left, rows) \
    ((left) >= 4 && ((registers) >= 32 || (rows) < 4) ? 4 : (left) >= 2 ? 2 : (left))

#endif
