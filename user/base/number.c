/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/number.h"

int parse_unsigned(struct span text, uint64_t maximum, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (text.length == 0)
		return -1;
	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';

		if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return -1;
	}
	if (value > maximum)
		return -1;
	*ret_value = value;
	return 0;
}
