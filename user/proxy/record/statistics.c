/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/record/statistics.h"

const uint64_t outcome_bounds_us[OUTCOME_BUCKETS] = {
	500,	1000,	2500,	5000,	 10000,	  25000,   50000,
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

static size_t bucket_of(uint64_t duration_us)
{
	size_t bucket = 0;

	while (bucket < OUTCOME_BUCKETS && duration_us > outcome_bounds_us[bucket])
		bucket++;
	return bucket;
}

void statistics_note_outcome(struct proxy_statistics *statistics, const uint16_t *lanes,
			     size_t lane_count, const struct request_outcome *outcome)
{
	size_t class = outcome->status / 100 % 6, bucket = bucket_of(outcome->duration_us);

	for (size_t i = 0; i < lane_count; i++) {
		struct lane_outcomes *lane = &statistics->lane_outcomes[lanes[i]];

		statistics_count(&lane->responses[class]);
		statistics_add(&lane->request_bytes, outcome->request_bytes);
		statistics_add(&lane->response_bytes, outcome->response_bytes);
		statistics_count(&lane->durations[bucket]);
		statistics_add(&lane->duration_us, outcome->duration_us);
	}
}

void statistics_sum(const struct proxy_statistics *from, struct proxy_statistics *sum)
{
	const uint64_t *source = (const uint64_t *)from;
	uint64_t *target = (uint64_t *)sum;

	for (size_t i = 0; i < sizeof(*from) / sizeof(uint64_t); i++)
		target[i] += __atomic_load_n(&source[i], __ATOMIC_RELAXED);
}
