/* SPDX-License-Identifier: MIT */
/**
 * @file kwm/name.h
 * @brief Which names KWDB takes as they are, in quotes, or not at all.
 *
 * KWDB pastes names into SQL: it folds upper case, and refuses a reserved word that is not in
 * double quotes. So a name is [a-z_][a-z0-9_]*, at most 63 bytes, never k_timestamp.
 */
#ifndef KWM_NAME_H
#define KWM_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define KWM_NAME_LEN_MAX 63U

/** @return whether the kwdb dialect can carry it (quoted if need be). */
bool kwm_name_is_valid(const char *name, size_t len);

/** @return whether KWDB takes it as a column or tag only in double quotes (134 words, lower
 *  case). */
bool kwm_name_is_reserved_column(const char *name, size_t len);

/** @return the same for a table: those words but family, index and nothing. */
bool kwm_name_is_reserved_table(const char *name, size_t len);

#endif
