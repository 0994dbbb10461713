/* SPDX-License-Identifier: MIT */
#include "give_back.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int give_back_segments(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    const uintptr_t page_len = *(const uintptr_t *)ctx;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0) {
            const uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
            const uintptr_t end = begin + segment->p_memsz;
            const uintptr_t first = begin & ~(page_len - 1U);
            (void)madvise((void *)first, end - first, MADV_DONTNEED); /* the kernel's own: EINVAL */
        }
    }
    return 0;
}

void give_back_code(void)
{
    uintptr_t page_len = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)dl_iterate_phdr(give_back_segments, &page_len);
}
