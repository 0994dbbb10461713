/* SPDX-License-Identifier: MIT */
/**
 * @file give_back.h
 * @brief Takes code out of this process that ran once: the loader, the reading of the
 *        configuration, a handshake.
 *
 * Memory:  none.
 * Context: main loop; other threads may run meanwhile.
 */
#ifndef GIVE_BACK_H
#define GIVE_BACK_H

/** Unmap the file pages of this program and its libraries that are never written to. What goes on
 *  being used comes back by itself, out of the page cache: a few dozen minor faults. A
 *  debugger's breakpoints from before are gone. */
void give_back_code(void);

#endif
