/* SPDX-License-Identifier: MIT */
/*
 * Goal: no bytes make kwm_decl_parse() or a walk read beyond their end; and what parses is just
 * what the builder makes of what the walk reads, so that equal series have equal bytes.
 * Input: the bytes of a declaration.
 */
#include <stdlib.h>
#include <string.h>

#include "hal/assert.h"
#include "kwm/decl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int rebuild(const struct kwm_decl *decl, uint8_t *out, size_t cap)
{
    struct kwm_decl_builder builder;
    const uint8_t *cursor = decl->tags;
    kwm_decl_build(&builder, out, cap, decl->measurement);
    for (unsigned i = 0; i < decl->tag_count; i++) {
        struct kwm_decl_tag tag;
        cursor = kwm_decl_tag(cursor, &tag);
        kwm_decl_build_tag(&builder, &tag);
    }
    KWM_ASSERT(cursor == decl->bytes + decl->identity_len);
    cursor = decl->fields;
    for (unsigned i = 0; i < decl->field_count; i++) {
        struct kwm_decl_field field;
        cursor = kwm_decl_field(cursor, &field);
        kwm_decl_build_field(&builder, &field);
    }
    KWM_ASSERT(cursor == decl->bytes + decl->len);
    return kwm_decl_build_end(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[KWM_DECL_LEN_MAX];
    struct kwm_decl decl;
    const int err = kwm_decl_parse(&decl, data, size); /* libFuzzer's copy is just that large */
    KWM_ASSERT(err == KWM_OK || err == KWM_ERR_CORRUPT);
    if (err == KWM_OK) {
        const int len = rebuild(&decl, again, sizeof(again));
        KWM_ASSERT(len == (int)size);
        KWM_ASSERT(memcmp(again, data, size) == 0);
    }
    return 0;
}
