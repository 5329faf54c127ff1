/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/record/series.h"

#include "proxy/record/statistics.h"

const uint64_t series_bounds_ms[SERIES_BUCKETS] = {
	1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000,
};

void series_note_end(struct upstream_series *rows, uint16_t series, enum series_end end,
		     uint64_t duration_ms)
{
	struct upstream_series *row = &rows[series];
	size_t bucket = 0;

	if (end == SERIES_NOT_COUNTED)
		return;
	while (bucket < SERIES_BUCKETS && duration_ms > series_bounds_ms[bucket])
		bucket++;
	statistics_count(&row->requests[end]);
	statistics_count(&row->durations[bucket]);
	statistics_add(&row->duration_ms, duration_ms);
}

void series_note_failed_connect(struct upstream_series *rows, uint16_t series)
{
	statistics_count(&rows[series].connects_failed);
}

void series_sum(const struct upstream_series *rows, struct upstream_series *sum)
{
	const size_t summed = offsetof(struct upstream_series, endpoints_left_out);

	for (size_t i = 0; i <= MESH_SERIES; i++) {
		const uint64_t *source = (const uint64_t *)&rows[i];
		uint64_t *target = (uint64_t *)&sum[i];
		uint64_t left_out = __atomic_load_n(&rows[i].endpoints_left_out, __ATOMIC_RELAXED);

		for (size_t j = 0; j < summed / sizeof(*source); j++)
			target[j] += __atomic_load_n(&source[j], __ATOMIC_RELAXED);
		if (left_out > sum[i].endpoints_left_out)
			sum[i].endpoints_left_out = left_out;
	}
}
