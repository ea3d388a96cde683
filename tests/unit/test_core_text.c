/* Texts of unknown origin as they may be shown, and the tree of names. */
#include "core/names.h"
#include "core/text.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(core_text, what_acts_on_a_terminal_is_escaped)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"lstm.weight_hh_l0", "lstm.weight_hh_l0"},
        {"", ""},
        {"Gr\xc3\xb6\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x8e\xb2",
         "Gr\xc3\xb6\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x8e\xb2"},
        {"\x1b[2J\x07\n", "\\x1b[2J\\x07\\x0a"},
        {"a\\b\x7f", "a\\x5cb\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"}, /* a control of Latin-1 */
        {"\xe2\x80\xae"
         "txt",
         "\\xe2\\x80\\xaetxt"},                       /* right to left from here */
        {"\xff\xfe", "\\xff\\xfe"},                   /* no UTF-8 */
        {"\xc3", "\\xc3"},                            /* cut off */
        {"\xc0\xaf", "\\xc0\\xaf"},                   /* longer than needed */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* half a pair of UTF-16 */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond Unicode */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_str_eq(CLSEQ__SHOW(cases[i].text), cases[i].shown, "row %zu: \"%s\"", i,
                         CLSEQ__SHOW(cases[i].text));
}

Test(core_text, what_is_long_is_cut_between_characters)
{
    char text[4 * CLSEQ__PRINTABLE], out[CLSEQ__PRINTABLE];
    static const char *const parts[] = {"x", "\xc3\xb6", "\x01", "\xf0\x9f\x8e\xb2"};
    for (size_t part = 0; part < 4; part++) {
        const size_t size = strlen(parts[part]), shown = part == 2 ? 4 : size;
        for (size_t n = 1; n * size < sizeof text; n++) {
            for (size_t i = 0; i < n; i++)
                memcpy(text + i * size, parts[part], size);
            text[n * size] = '\0';
            clseq__printable(out, text);
            const bool cut = n * shown >= CLSEQ__PRINTABLE;
            const size_t length = cut ? (CLSEQ__PRINTABLE - 4) / shown * shown + 3 : n * shown;
            cr_assert_eq(strlen(out), length, "part %zu, %zu times: %zu bytes", part, n, strlen(out));
            cr_assert_eq(length >= 3 && strcmp(out + length - 3, "...") == 0, cut);
        }
    }
}

Test(core_text, names_are_found_until_they_are_removed)
{
    enum { COUNT = 2000 };
    clseq__names names = {0};
    int values[COUNT];
    char name[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "n%d", i * 7919 % COUNT);
        cr_assert(clseq__names_add(&names, name, &values[i * 7919 % COUNT]));
    }
    for (int i = 0; i < COUNT; i += 2) {
        snprintf(name, sizeof name, "n%d", i);
        clseq__names_remove(&names, name);
        clseq__names_remove(&names, name);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "n%d", i);
        cr_assert_eq(clseq__names_find(&names, name), i % 2 ? &values[i] : NULL);
    }
    clseq__names_clear(&names);
    cr_assert_null(clseq__names_find(&names, "n1"));
    clseq__names_clear(&names);
}
