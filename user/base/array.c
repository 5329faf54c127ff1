/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/array.h"

#include <stdint.h>
#include <string.h>

void *array_append(void **array, size_t *count, size_t element_size)
{
	if ((*count & (*count - 1)) == 0) {
		size_t capacity = *count ? *count * 2 : 1;
		if (capacity > SIZE_MAX / element_size)
			return NULL;
		void *grown = realloc(*array, capacity * element_size);
		if (!grown)
			return NULL;
		*array = grown;
	}
	char *element = (char *)*array + *count * element_size;
	memset(element, 0, element_size);
	(*count)++;
	return element;
}
