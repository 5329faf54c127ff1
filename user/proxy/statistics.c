/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/statistics.h"

#include <stddef.h>

void statistics_sum(const struct proxy_statistics *from, struct proxy_statistics *sum)
{
	const uint64_t *source = (const uint64_t *)from;
	uint64_t *target = (uint64_t *)sum;

	for (size_t i = 0; i < sizeof(*from) / sizeof(uint64_t); i++)
		target[i] += __atomic_load_n(&source[i], __ATOMIC_RELAXED);
}
