/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Small helpers around C arrays. */
#include <stddef.h>
#include <stdlib.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Makes room for one more element in a growing array and returns it zeroed; NULL when memory is
 * short (array and count stay as they were). Doubles at powers of two: no capacity to keep.
 */
void *array_append(void **array, size_t *count, size_t element_size);

#define ARRAY_APPEND(array, count) \
	((__typeof__(array))array_append((void **)&(array), &(count), sizeof(*(array))))
