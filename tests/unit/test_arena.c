/* Host memory of graphs: pieces that do not overlap, aligned, and the same ones again after a reset. */
#include "support/faults.h"
#include "train/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

enum { PIECES = 200 };

/* Some larger than a chunk, many that fill several. */
static size_t size_of(int i)
{
    return i % 50 == 49 ? 100000 : (size_t)(1 + i * 37 % 3000);
}

/* Takes all pieces, fills each with its number, and looks at them when all are there. */
static void take(clseq__arena *arena, unsigned char *pieces[PIECES])
{
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = clseq__arena_get(arena, size_of(i));
        cr_assert_not_null(pieces[i]);
        cr_assert_eq((uintptr_t)pieces[i] % 64, 0, "piece %d is not aligned", i);
        memset(pieces[i], i, size_of(i));
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t k = 0; k < size_of(i); k++)
            cr_assert_eq(pieces[i][k], i, "byte %zu of piece %d was written by another", k, i);
}

Test(arena, pieces_do_not_overlap)
{
    clseq__arena arena = {0};
    unsigned char *first[PIECES], *second[PIECES];
    take(&arena, first);
    const long allocations = faults_allocations();
    clseq__arena_reset(&arena);
    take(&arena, second);
    cr_assert_eq(memcmp(first, second, sizeof first), 0);
    cr_assert_eq(faults_allocations(), allocations, "the same pieces again took new memory");
    clseq__arena_release(&arena);
    cr_assert_null(arena.first);
}

/* Pieces that came back are handed out again, those of their size before a reset, and all of them once after it. */
Test(arena, pieces_come_back)
{
    clseq__arena arena = {0};
    unsigned char *pieces[PIECES];
    void *first = clseq__arena_get(&arena, 100), *second = clseq__arena_get(&arena, 100);
    clseq__arena_put(&arena, first, 100);
    cr_assert_neq(clseq__arena_get(&arena, 200), first);
    cr_assert_eq(clseq__arena_get(&arena, 128), first);
    cr_assert_neq(clseq__arena_get(&arena, 100), second);
    clseq__arena_put(&arena, second, 100);
    clseq__arena_reset(&arena);
    take(&arena, pieces);
    clseq__arena_release(&arena);
}

/* A piece that no memory holds is refused, and the arena goes on. */
Test(arena, refuses_what_is_too_large)
{
    clseq__arena arena = {0};
    cr_assert_null(clseq__arena_get(&arena, SIZE_MAX));
    cr_assert_null(clseq__arena_get(&arena, SIZE_MAX / 2 + 1));
    cr_assert_not_null(clseq__arena_get(&arena, 1));
    clseq__arena_release(&arena);
}
