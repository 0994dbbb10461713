/* SPDX-License-Identifier: MIT */
#include "kwm/account.h"

#include "hal/assert.h"

static const char *const fate_names[KWM_FATE_COUNT] = {
    [KWM_FATE_STORED] = "stored",
    [KWM_FATE_REFUSED_LINE] = "refused_line",
    [KWM_FATE_REFUSED_SCHEMA] = "refused_schema",
    [KWM_FATE_REFUSED_UNKNOWN] = "refused_unknown",
    [KWM_FATE_DROPPED_ROOM] = "dropped_room",
    [KWM_FATE_DROPPED_NO_ROOM] = "dropped_no_room",
    [KWM_FATE_DROPPED_TOO_LONG] = "dropped_too_long",
    [KWM_FATE_DROPPED_NO_TIME] = "dropped_no_time",
    [KWM_FATE_DROPPED_CORRUPT] = "dropped_corrupt",
    [KWM_FATE_UNKNOWN] = "unknown",
};

const char *kwm_fate_name(enum kwm_fate fate)
{
    KWM_ASSERT(fate < KWM_FATE_COUNT);
    return fate_names[fate];
}

uint64_t kwm_totals_refused(const struct kwm_totals *totals)
{
    return totals->fates[KWM_FATE_REFUSED_LINE] + totals->fates[KWM_FATE_REFUSED_SCHEMA] +
           totals->fates[KWM_FATE_REFUSED_UNKNOWN];
}

uint64_t kwm_totals_dropped(const struct kwm_totals *totals)
{
    return totals->fates[KWM_FATE_DROPPED_ROOM] + totals->fates[KWM_FATE_DROPPED_NO_ROOM] +
           totals->fates[KWM_FATE_DROPPED_TOO_LONG] + totals->fates[KWM_FATE_DROPPED_NO_TIME] +
           totals->fates[KWM_FATE_DROPPED_CORRUPT];
}
