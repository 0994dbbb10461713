/* SPDX-License-Identifier: MIT */
/**
 * @file linux/file_flash.h
 * @brief hal_flash over one preallocated file, for a log that outlives the process.
 *
 * The file is its sectors, one after the other. What was programmed survives the process (it is in
 * the page cache); what was synced survives a power cut. Nothing blocks the main loop: a thread
 * writes and syncs (linux/file_worker.h), and wakes the loop through the poll set.
 *
 * Newest sectors are also kept in memory, as many as the caller gives room for. While all is well
 * they save reads. When the file cannot be written (disk full, read-only, gone, or an operation
 * that takes over FILE_FLASH_STALL_MS), programming and erasing go on in them and succeed; sync()
 * then fails with KWM_ERR_IO, for nothing is durable. Where they do not suffice the oldest one is
 * forgotten: it reads 0xFF. Each FILE_FLASH_RETRY_MS the path is opened and written again; once all
 * of it is in the file and synced, the file is used as before. A sync that failed counts as if
 * nothing since the last good one was written, for Linux does not write those pages again.
 *
 * A file that comes to be at the path only after the log began without it (mounted late) is not
 * mixed with what was logged meanwhile: it is kept as PATH.before.
 *
 * Usage (boards/linux):
 *     const struct file_flash_config config = {.path = ..., .sector_len = 4096,
 *         .sector_count = 256, .prog_len = 1, .overlay = bytes, .overlay_count = 16,
 *         .forgotten = bits, .poll_set = linux_board_poll_set()};
 *     int rc = file_flash_open(&file, &config, board_now_ms());    then mount the log on file.flash
 *     each turn of the loop: wake = file_flash_step(&file, board_now_ms());
 *     when file.changes differs from the last time: log file.text, as a warning if fallen back
 *     at the end: sync of the log, then file_flash_close(&file, 2000)
 *
 * Memory:  the caller's; the thread touches none of it.
 * Context: main loop.
 * Bounds:  RAM as given; a step does at most one job's bookkeeping and copies at most
 *          FILE_PIECE_LEN_MAX; open and close wait a bounded time.
 */
#ifndef LINUX_FILE_FLASH_H
#define LINUX_FILE_FLASH_H

#include "hal/flash.h"
#include "linux/file_worker.h"
#include "linux/poll_set.h"

#define FILE_FLASH_OVERLAY_MIN 4U
#define FILE_FLASH_OVERLAY_MAX 64U
#define FILE_FLASH_RETRY_MS 10000U
#define FILE_FLASH_STALL_MS 5000U
#define FILE_FLASH_OPEN_MS 5000U /**< so long open waits before it begins in memory */
#define FILE_FLASH_FORGOTTEN_LEN(sector_count) (((sector_count) + 7U) / 8U)
#define FILE_FLASH_TEXT_LEN_MAX (FILE_PATH_LEN_MAX + 200U)

/** file_flash_open(): the file had another length; it has the right one now. */
#define FILE_FLASH_RESIZED 1

struct file_flash_config {
    const char *path;                  /**< copied; at most FILE_PATH_LEN_MAX bytes */
    uint32_t sector_len, sector_count; /**< as hal_flash_geometry; together below 4 GiB */
    uint16_t prog_len;                 /**< a file has no unit: 1 */
    uint8_t *overlay;                  /**< overlay_count * sector_len bytes */
    uint32_t overlay_count;            /**< FILE_FLASH_OVERLAY_MIN..MAX */
    uint8_t *forgotten;                /**< FILE_FLASH_FORGOTTEN_LEN(sector_count) bytes */
    struct linux_poll_set *poll_set;   /**< woken when the thread is done; NULL: none is */
    const struct file_sys *sys;        /**< NULL: file_sys_linux */
};

enum file_flash_state { FILE_FLASH_OK, FILE_FLASH_FALLEN_BACK };

struct file_flash_counters {
    uint32_t fallbacks;     /**< times that it fell back */
    uint32_t retries;       /**< attempts to use the file again */
    uint32_t forgotten;     /**< sectors that the memory did not suffice for */
    uint32_t writes, syncs; /**< by the thread */
};

/** A sector in memory. Bytes dirty_from..dirty_end differ from the file's. */
struct file_flash_slot {
    uint32_t sector;
    uint32_t age; /**< larger is newer; 0: the slot is free */
    uint32_t dirty_from, dirty_end;
    bool is_unsynced; /**< written since the last sync */
};

enum file_flash_op { FILE_FLASH_OP_NONE, FILE_FLASH_OP_WRITE, FILE_FLASH_OP_SYNC };

/** Readable: flash, state, error, counters, changes, text. The rest is private. */
struct file_flash {
    struct hal_flash flash; /* first member */
    enum file_flash_state state;
    int error; /**< errno: why it fell back; ETIMEDOUT: it takes too long */
    struct file_flash_counters counters;
    unsigned changes;                        /**< grows whenever text changes */
    char text[FILE_FLASH_TEXT_LEN_MAX + 1U]; /**< one line for people; "": nothing to be told */

    char path[FILE_PATH_LEN_MAX + 1U];
    uint8_t *overlay;
    uint8_t *forgotten;
    uint32_t overlay_count;
    struct linux_poll_set *poll_set;
    struct file_flash_slot slots[FILE_FLASH_OVERLAY_MAX];
    uint32_t newest_age;
    int worker;
    int fd; /**< for reading; -1: the file is not there, all of it reads 0xFF */
    enum file_flash_op op;
    int op_result;     /**< of an op that is over and was not polled */
    bool is_mending;   /**< a retry is under way */
    bool is_synced;    /**< the retry has come past its sync */
    bool is_set_aside; /**< to be told */
    bool is_in_flight; /**< a piece is being written; with is_refill 0xFF, of no slot: */
    bool is_refill;
    uint32_t flying_sector, flying_from, flying_end;
    int holder; /**< pid of who has the file; 0: nobody, or not known */
    uint64_t now_ms, retry_at_ms, op_since_ms;
};

/**
 * Open or create the file; take the lock. Waits up to FILE_FLASH_OPEN_MS for it.
 * @param now_ms boot ms, as for the steps.
 * @return KWM_OK, be it fallen back (see state); FILE_FLASH_RESIZED (text says what was found);
 *         KWM_ERR_STATE: another process has it (text says which); KWM_ERR_INVAL for the
 *         configuration; KWM_ERR_IO or KWM_ERR_NOSPC if no thread can be had. Below 0 nothing is
 *         open.
 */
KWM_NODISCARD int file_flash_open(struct file_flash *file, const struct file_flash_config *config,
                                  uint64_t now_ms);

/** Keep it going. @return boot ms at which to be called again, if the poll set is not woken. */
uint64_t file_flash_step(struct file_flash *file, uint64_t now_ms);

/**
 * Write what is left, sync, let go of the lock. Tries the file once more if it has fallen back.
 * @param ms to wait, about; if the disk hangs, its thread keeps the lock until it comes back.
 * @return KWM_OK: all is durable; KWM_ERR_IO: it is not, text says why; KWM_ERR_TIMEOUT.
 */
KWM_NODISCARD int file_flash_close(struct file_flash *file, unsigned ms);

#endif
