/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The bytes of the benchmark's bodies: byte n of a body is known to both sides. */
#include <stddef.h>
#include <stdint.h>

#define PATTERN_BYTES (1024 * 1024) /* the longest body */

static inline void pattern_fill(char *memory)
{
	uint32_t state = 1;

	for (size_t i = 0; i < PATTERN_BYTES; i++) {
		state = state * 1664525 + 1013904223;
		memory[i] = (char)(state >> 24);
	}
}
