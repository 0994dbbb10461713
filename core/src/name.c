/* SPDX-License-Identifier: MIT */
#include "kwm/name.h"

#include <string.h>

/** What KWDB's grammar takes as a column's or tag's name in double quotes only, of 564 words. */
static const char reserved_words[] =
    "all analyse analyze and any array as asc assign asymmetric attribute attributes both case "
    "cast "
    "cast_check check collate collation column comment compress concurrently constraint continue "
    "create cross current_catalog current_date current_role current_schema current_time "
    "current_timestamp current_user cursor ddlreplay default deferrable delimiter_eof desc "
    "distinct "
    "do each else elsif encode end endcase endhandler endif endloop endwhile except exit false "
    "family fetch fill for foreign found from full grant group handler having ilike in index "
    "initially inner intersect into is isnull join lateral leading left like limit localtime "
    "localtimestamp loop natural never none not nothing notnull null offset on only or order outer "
    "overlaps placing primary rebalance recurring references returning returns right sample select "
    "session_user similar some sqlexception symmetric syntax table tag tag_only tag_table tags "
    "then "
    "to trailing true union unique user using variadic when where while window with ";

static const char time_column[] = "k_timestamp";

static bool is_equal(const char *word, size_t word_len, const char *name, size_t len)
{
    return word_len == len && memcmp(word, name, len) == 0;
}

bool kwm_name_is_valid(const char *name, size_t len)
{
    if (len == 0 || len > KWM_NAME_LEN_MAX || (name[0] >= '0' && name[0] <= '9')) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        const char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return !is_equal(time_column, sizeof(time_column) - 1U, name, len);
}

bool kwm_name_is_reserved_column(const char *name, size_t len)
{
    const char *word = reserved_words;
    const char *const end = reserved_words + sizeof(reserved_words) - 1U;
    while (word < end) {
        const char *const space = memchr(word, ' ', (size_t)(end - word));
        if (is_equal(word, (size_t)(space - word), name, len)) {
            return true;
        }
        word = space + 1;
    }
    return false;
}

bool kwm_name_is_reserved_table(const char *name, size_t len)
{
    return kwm_name_is_reserved_column(name, len) && !is_equal("family", 6, name, len) &&
           !is_equal("index", 5, name, len) && !is_equal("nothing", 7, name, len);
}
