/*
 * Records (cl/core/record.h) as a device sees them.
 *
 *     RECORD_CHECK(ctx, "linalg/panels_record.h", panels_record, PANELS_RECORD);
 */
#ifndef CLSEQ_TESTS_SUPPORT_RECORD_H
#define CLSEQ_TESTS_SUPPORT_RECORD_H

#include "core/record.h"

#include <clseq/context.h>
#include <stddef.h>

typedef struct record_member {
    const char *name;
    size_t at;   /* of an array, `name[length]`: where it ends */
    size_t size; /* of an array: all of it */
} record_member;

/* A record's names in its header, and what the host's compiler makes of it. */
typedef struct record_layout {
    const char *header; /* path below cl/ */
    const char *type, *list;
    size_t size;
    const record_member *members;
    size_t count;
} record_layout;

/*
 * Compares the layout with the device's, and the bytes of a record that is passed to a kernel; holes between members
 * count as a difference. Returns NULL or a sentence, which lasts until the next call. A failing device call aborts the
 * test.
 */
const char *record_difference(clseq_context *ctx, const record_layout *layout);

#define RECORD_MEMBER(type, name) {#name, offsetof(record_, name), sizeof(struct { type name; })},
#define RECORD_CHECK(ctx, header, type, LIST)                                                     \
    do {                                                                                          \
        typedef type record_;                                                                     \
        const record_member members_[] = {LIST(RECORD_MEMBER)};                                   \
        const char *difference_ =                                                                 \
            record_difference(ctx, &(record_layout){header, #type, #LIST, sizeof(type), members_, \
                                                    sizeof members_ / sizeof members_[0]});       \
        cr_assert_null(difference_, "%s", difference_);                                           \
    } while (0)

#endif
