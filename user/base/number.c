/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/number.h"

int parse_unsigned(struct span text, uint64_t maximum, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (text.length == 0)
		return -1;
	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return -1;
		value = value * 10 + digit;
	}
	if (value > maximum)
		return -1;
	*ret_value = value;
	return 0;
}
