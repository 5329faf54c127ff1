/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/sharing/options.h"

#include <sched.h>
#include <stdint.h>
#include <lanetag/rules.h>

#include "base/array.h"
#include "base/memory_limit.h"
#include "base/number.h"
#include "http/head.h"

#define MAXIMUM_WORKERS 256
#define BUDGET_DIVISOR 4
#define MAXIMUM_STANDARD_BUDGET (1024ULL * 1024 * 1024) /* where no cgroup has a limit */
#define MINIMUM_STANDARD_BUDGET (4ULL * 1024 * 1024)
#define MAXIMUM_TIMEOUT_MS (7 * 24 * 3600 * 1000) /* a week */

enum option_type { OPTION_SIZE, OPTION_UNSIGNED, OPTION_BOOL };

static const struct {
	struct proxy_option_description description;
	enum option_type type;
	size_t offset;
} table[] = {
#define COMPUTED_OPTION(field, type, name, standard, minimum, maximum, meaning, computed) \
	{                                                                                 \
		{name, meaning, standard, computed, minimum, maximum}, type,              \
			offsetof(struct proxy_options, field)                             \
	}
#define OPTION(field, type, name, standard, minimum, maximum, meaning) \
	COMPUTED_OPTION(field, type, name, standard, minimum, maximum, meaning, NULL)
	OPTION(maximum_head_bytes, OPTION_SIZE, "head-bytes", 65536, 512, PROXY_RECEIVE_BYTES / 2,
	       "of a request's head; above: 431"),
	OPTION(maximum_fields, OPTION_SIZE, "head-fields", 100, 1, HTTP_MAX_FIELDS,
	       "header fields of a request; above: 431"),
	OPTION(maximum_target_bytes, OPTION_SIZE, "target-bytes", 8192, 16, PROXY_RECEIVE_BYTES / 2,
	       "of a request's target; above: 414"),
	OPTION(allow_bare_lf, OPTION_BOOL, "allow-bare-lf", 0, 0, 1,
	       "1: a head's lines may end in LF alone"),
	OPTION(header_timeout_ms, OPTION_UNSIGNED, "header-timeout", 30000, 1, MAXIMUM_TIMEOUT_MS,
	       "ms from a head's first byte to its last; then 408"),
	OPTION(body_timeout_ms, OPTION_UNSIGNED, "body-timeout", 60000, 1, MAXIMUM_TIMEOUT_MS,
	       "ms between two pieces of a body from or to a client; then 408"),
	OPTION(idle_timeout_ms, OPTION_UNSIGNED, "idle-timeout", 300000, 1, MAXIMUM_TIMEOUT_MS,
	       "ms between two requests of a connection"),
	OPTION(tunnel_timeout_ms, OPTION_UNSIGNED, "tunnel-timeout", 3600000, 1, MAXIMUM_TIMEOUT_MS,
	       "ms without a byte in an upgraded connection"),
	OPTION(connect_timeout_ms, OPTION_UNSIGNED, "connect-timeout", 5000, 1, MAXIMUM_TIMEOUT_MS,
	       "ms to connect to one endpoint"),
	OPTION(upstream_response_timeout_ms, OPTION_UNSIGNED, "response-timeout", 300000, 1,
	       MAXIMUM_TIMEOUT_MS, "ms to a response's head (then 504), and between its pieces"),
	OPTION(upstream_idle_timeout_ms, OPTION_UNSIGNED, "upstream-idle-timeout", 60000, 1,
	       MAXIMUM_TIMEOUT_MS, "ms that an upstream connection is kept unused"),
	OPTION(rules_kept_ms, OPTION_UNSIGNED, "rules-kept", 5000, 1, MAXIMUM_TIMEOUT_MS,
	       "ms after a reload that users keep rules while requests of theirs are under way"),
	OPTION(detailed_lanes, OPTION_SIZE, "detailed-lanes", 64, 1, LANETAG_MAX_LANES,
	       "lanes with all metrics; the rules behind have their requests counted alone"),
	OPTION(maximum_connections, OPTION_SIZE, "connections", 50000, 1, SIZE_MAX / 2,
	       "of all clients"),
	COMPUTED_OPTION(maximum_connections_per_client, OPTION_SIZE, "connections-per-client", 0, 0,
			PROXY_OPTION_ANY, "of one address; 0: any number",
			"a quarter of `connections`, at least 1000, at gateways alone"),
	COMPUTED_OPTION(maximum_waiting_bytes, OPTION_SIZE, "waiting-bytes", 0, 65536,
			PROXY_OPTION_ANY,
			"of heads, bodies and responses in the agent; above: 503 for new heads",
			"a quarter of the memory limit"),
	OPTION(maximum_requests_per_connection, OPTION_SIZE, "requests-per-connection", 0, 0,
	       UINT32_MAX, "0: any number"),
#undef OPTION
#undef COMPUTED_OPTION
};

static void store(struct proxy_options *options, size_t index, size_t value)
{
	char *field = (char *)options + table[index].offset;

	switch (table[index].type) {
	case OPTION_SIZE:
		*(size_t *)field = value;
		break;
	case OPTION_UNSIGNED:
		*(unsigned *)field = (unsigned)value;
		break;
	case OPTION_BOOL:
		*(bool *)field = value;
		break;
	}
}

static bool is_zero(const struct proxy_options *options, size_t index)
{
	const char *field = (const char *)options + table[index].offset;

	switch (table[index].type) {
	case OPTION_SIZE:
		return *(const size_t *)field == 0;
	case OPTION_UNSIGNED:
		return *(const unsigned *)field == 0;
	case OPTION_BOOL:
		return !*(const bool *)field;
	}
	return false;
}

int proxy_options_set(struct proxy_options *options, const char *assignment)
{
	struct span name, text;
	uint64_t value;

	if (!span_cut(span_of(assignment), '=', &name, &text))
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		const struct proxy_option_description *description = &table[i].description;

		if (!span_equal(name, span_of(description->name)))
			continue;
		if (parse_unsigned(text, description->maximum, &value) ||
		    value < description->minimum)
			return -1;
		/* In the options 0 is the default. */
		if (value == 0 && description->computed)
			value = description->maximum;
		store(options, i, value);
		return 0;
	}
	return -1;
}

static unsigned usable_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	int count = CPU_COUNT(&cpus);
	return count > 0 ? (unsigned)count : 1;
}

/* Bytes that may wait where no number is configured: a quarter of what the process may have. */
static size_t standard_waiting_bytes(void)
{
	bool in_cgroup;
	uint64_t budget = memory_limit_read("", &in_cgroup) / BUDGET_DIVISOR;

	if (!in_cgroup && budget > MAXIMUM_STANDARD_BUDGET)
		budget = MAXIMUM_STANDARD_BUDGET;
	return budget < MINIMUM_STANDARD_BUDGET ? MINIMUM_STANDARD_BUDGET : (size_t)budget;
}

void proxy_options_fill(struct proxy_options *options)
{
	if (options->workers == 0)
		options->workers = usable_cpus();
	if (options->workers > MAXIMUM_WORKERS)
		options->workers = MAXIMUM_WORKERS;
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		if (is_zero(options, i))
			store(options, i, table[i].description.standard);
	}
	if (options->maximum_waiting_bytes == 0)
		options->maximum_waiting_bytes = standard_waiting_bytes();
}

bool proxy_options_describe(size_t index, struct proxy_option_description *ret_description)
{
	if (index >= ARRAY_LENGTH(table))
		return false;
	*ret_description = table[index].description;
	return true;
}
