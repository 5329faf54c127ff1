/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Eight bytes of text at a time. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WORD_EACH_BYTE UINT64_C(0x0101010101010101)

static inline uint64_t word_read(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* Fewer than eight bytes; equal parts of one length give equal words, others do not. */
static inline uint64_t word_read_part(const char *at, size_t length)
{
	uint32_t first = 0, last;

	if (length >= sizeof(first)) {
		memcpy(&first, at, sizeof(first));
		memcpy(&last, at + length - sizeof(last), sizeof(last));
		return (uint64_t)first << 32 | last;
	}
	for (size_t i = 0; i < length; i++)
		first = first << 8 | (unsigned char)at[i];
	return first;
}

/* 0x80 in each byte that is an ASCII letter. */
static inline uint64_t word_letters(uint64_t word)
{
	uint64_t lower = (word | WORD_EACH_BYTE * 0x20) & WORD_EACH_BYTE * 0x7f;
	uint64_t from_a = lower + WORD_EACH_BYTE * (0x80 - 'a');
	uint64_t behind_z = lower + WORD_EACH_BYTE * (0x80 - 'z' - 1);

	return from_a & ~behind_z & ~word & WORD_EACH_BYTE * 0x80;
}

static inline uint64_t word_lower(uint64_t word)
{
	return word | word_letters(word) >> 2;
}

/* What differs must be the case bits of letters. */
static inline int word_equal_ignore_case(uint64_t a, uint64_t b)
{
	return a == b || !((a ^ b) & ~(word_letters(a) >> 2));
}
