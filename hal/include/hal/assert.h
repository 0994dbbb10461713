/* SPDX-License-Identifier: MIT */
/**
 * @file hal/assert.h
 * @brief Assertions that stay on in every build. They are for programmer errors only: what comes
 *        from the network, a file, flash or a sensor is answered with an error code instead.
 */
#ifndef HAL_ASSERT_H
#define HAL_ASSERT_H

/** Link-time, one per image: record the place, then reset (MCU) or abort (hosted). */
_Noreturn void kwm_panic(const char *file, int line);

#define KWM_ASSERT(condition) ((condition) ? (void)0 : kwm_panic(__FILE__, __LINE__))

#endif
