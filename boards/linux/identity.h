/* SPDX-License-Identifier: MIT */
/**
 * @file identity.h
 * @brief A name for this device that no other one has.
 *
 * KWDB overwrites rows of equal primary tags and time without a word, so two devices called
 * `raspberrypi` would destroy each other's data. A host name that distributions give to every
 * device is therefore followed by eight digits of a hash of /etc/machine-id, or of the first
 * network card's address where there is none.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#define IDENTITY_LEN_MAX 63U

/**
 * @param out NUL-terminated, characters that a line cannot carry replaced by '-'.
 * @return whether it is unique: false if the host name is a default one and no number was found.
 */
bool linux_identity(char *out, size_t cap);

/** @return whether it is a name that a distribution gives to every device. */
bool linux_identity_is_default(const char *name);

#endif
