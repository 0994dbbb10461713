/* SPDX-License-Identifier: MIT */
/**
 * @file sim_cli.h
 * @brief The simulator as a program: options, processes side by side, progress, and the report.
 */
#ifndef SIM_CLI_H
#define SIM_CLI_H

#include <stdint.h>

/** A bug that is planted to see that an invariant can fail. */
struct sim_plant {
    const char *name;
    const char *invariant; /**< the word with which the violation begins */
    const char *help;
    uint64_t seed; /**< one that catches it */
};

/** The list ends with name NULL. */
struct sim_plants {
    const struct sim_plant *list;
    void (*choose)(const struct sim_plant *plant);
};

/** @param plants NULL: this program has none. @return exit code: 0 no violation, 1 some, 2 wrong
 *  usage. */
int sim_cli(int argc, char **argv, const struct sim_plants *plants);

#endif
