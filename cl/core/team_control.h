/*
 * The control buffer of teams (core/team.clh), for C and OpenCL C: 32-bit words, all 0 between launches.
 *
 *   ticket | left | probe | block 0: over, seat 0, seat 1, ... | block 1: ... | ...
 *
 * Words that different groups write lie on lines of their own; a seat has one that its member writes and one that the
 * leader writes.
 */
#ifndef CORE_TEAM_CONTROL_H
#define CORE_TEAM_CONTROL_H

/* Words a line, 128 bytes: two cache lines, since processors fetch them in pairs. */
#define TEAM_LINE 32
/* The first so many of a line are used. */
#define TEAM_LINE_USED 4

/* Drawn by each group that looks for work, and counted by each that finds none any more. */
#define TEAM_TICKET 0
#define TEAM_LEFT TEAM_LINE
/* Tests' own, see below. */
#define TEAM_PROBE (2 * TEAM_LINE)
#define TEAM_BLOCKS (3 * TEAM_LINE)

/* In a block: whether it is done, then the seats. */
#define TEAM_OVER 0
#define TEAM_SEATS TEAM_LINE

/* In a seat: the member's word, then the leader's. */
#define TEAM_FLAG 0
#define TEAM_STEP TEAM_LINE
#define TEAM_SHARE (TEAM_LINE + 1)
#define TEAM_SHARES (TEAM_LINE + 2)
#define TEAM_STATE (TEAM_LINE + 3)
#define TEAM_SEAT_WORDS (2 * TEAM_LINE)

/* The leader of a team needs no seat. */
#define TEAM_BLOCK_WORDS(members) (TEAM_SEATS + ((members)-1) * TEAM_SEAT_WORDS)
#define TEAM_WORDS(blocks, members) (TEAM_BLOCKS + (blocks)*TEAM_BLOCK_WORDS(members))

/*
 * Words of the probe. The first are set by a test: every n-th of something is forced (0: none). The next count those
 * chances, the rest what happened. Only kernels built with -DTEAM_PROBES=1 know them.
 */
enum team_probe {
    /* a leader's wait for a member that is not done is over at once */
    TEAM_FORCE_DROP,
    /* a member's wait for its next share is over at once */
    TEAM_FORCE_QUIT,
    /* a member begins its share TEAM_DELAY polls late */
    TEAM_FORCE_LATE,
    TEAM_FORCES,
    TEAM_DELAY = 2 * TEAM_FORCES,
    TEAM_LED,
    TEAM_ADMITTED,
    TEAM_ADMITTED_LATE,
    TEAM_DROPPED,
    TEAM_QUIT,
    TEAM_VACATED,
    TEAM_SETTLED,
    TEAM_RESTORED,
    TEAM_PROBES_END
};

#endif
