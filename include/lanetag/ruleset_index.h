/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The index that makes the kernel's scan of a head fast; the agent makes it once per ruleset. */
#include <lanetag/rules.h>

LANETAG_INLINE void lanetag_pattern_set(struct lanetag_ruleset *ruleset, __u32 field,
					const char *name, __u32 length)
{
	struct lanetag_pattern *pattern = &ruleset->patterns[field];

	pattern->length = length + 1;
	pattern->word_count = (length + 1 + 7) / 8;
	for (__u32 i = 0; i <= length; i++) {
		__u64 byte = i < length ? (__u8)name[i] : ':';
		__u32 word = i / 8, shift = i % 8 * 8;
		int letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';

		if (letter) {
			byte |= 0x20;
			pattern->fold[word] |= 0x20ULL << shift;
		}
		pattern->word[word] |= byte << shift;
		pattern->mask[word] |= 0xffULL << shift;
	}
	ruleset->candidates[name[0] & 31] |= (__u16)(1U << field);
}

/* Fills candidates and patterns, which must be zero, from the sources. */
LANETAG_INLINE void lanetag_ruleset_index(struct lanetag_ruleset *ruleset)
{
	for (__u32 i = 0; i < ruleset->source_count; i++) {
		const struct lanetag_source *source = &ruleset->sources[i];

		if (source->kind == LANETAG_SOURCE_HEADER)
			lanetag_pattern_set(ruleset, i, source->name, source->name_length);
	}
	lanetag_pattern_set(ruleset, LANETAG_FIELD_CONTENT_LENGTH, "content-length", 14);
	lanetag_pattern_set(ruleset, LANETAG_FIELD_TRANSFER_ENCODING, "transfer-encoding", 17);
	lanetag_pattern_set(ruleset, LANETAG_FIELD_UPGRADE, "upgrade", 7);
}
