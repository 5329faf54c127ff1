/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What noting and finding the tags of requests costs, with 100,000 requests in flight:
 * `make bench-arrivals`, as root. Each request is the first of a connection of its own, and bears
 * one id, or two. Times of the program are the kernel's own (BPF_ENABLE_STATS); finding is timed in
 * the agent.
 */
#include "base/clock.h"
#include "kernel/arrivals.h"
#include "kernel/tagger_run.h"

#define IN_FLIGHT 100000
#define CAPACITY 131072

static struct tagger arrivals;
static struct pins pins;
static struct arrivals_fields fields;

static void open_arrivals(void)
{
	struct program_options options = {.kind = PROGRAM_ARRIVALS, .capacity = CAPACITY};
	uint16_t port = RUN_PORT;

	sandbox_require(pins_open(&pins, NULL) == 0, "pins");
	sandbox_require(program_load(&pins, &options, &arrivals.program) == 0, "load");
	arrivals_standard_fields(&fields);
	sandbox_require(arrivals_set_fields(&arrivals, &fields, 1) == 0, "fields");
	sandbox_require(tagger_set_ports(&arrivals, &port, 1) == 0, "ports");
}

static void arrive(uint32_t number, bool two_ids)
{
	struct run_flow flow;
	char request[512];
	int length = snprintf(request, sizeof(request),
			      "GET /index.html HTTP/1.1\r\nHost: app-a\r\nAccept: text/html\r\n"
			      "baggage: appver-a=v2,appver-b=v2,appver-c=v%u\r\n"
			      "x-request-id: 4bf92f35-77b3-4da6-a3ce-%012u\r\n",
			      number, number);

	if (two_ids)
		length += snprintf(request + length, sizeof(request) - (size_t)length,
				   "traceparent: 00-4bf92f3577b34da6a3ce%012u-00f067aa0ba902b7-01"
				   "\r\n",
				   number);
	strcpy(request + length, "\r\n");
	run_flow_init(&flow, number, false);
	run_begin(&arrivals, &flow);
	run_send(&arrivals, &flow, 0, request, (size_t)length + 2, 0);
}

/* How many of them the kernel still knows, each with its own tags. */
static unsigned find_all(uint64_t *ret_nanoseconds)
{
	uint64_t started = clock_now_ns();
	unsigned found = 0;
	struct run_flow flow;

	for (uint32_t i = 0; i < IN_FLIGHT; i++) {
		char value[64], wanted[64];
		struct arrivals_tags tags;

		snprintf(value, sizeof(value), "4bf92f35-77b3-4da6-a3ce-%012u", i);
		snprintf(wanted, sizeof(wanted), "appver-a=v2,appver-b=v2,appver-c=v%u", i);
		struct arrivals_id id = {arrivals_field(&fields, span_of("x-request-id")),
					 span_of(value)};
		run_flow_init(&flow, i, false);
		if (arrivals_find(&arrivals, &fields, flow.connection.local_address, &id, 1,
				  &tags) != ARRIVALS_FOUND)
			continue;
		sandbox_require(tags.length == strlen(wanted) &&
					memcmp(tags.text, wanted, tags.length) == 0,
				"a request's own tags");
		found++;
	}
	*ret_nanoseconds = (clock_now_ns() - started) / IN_FLIGHT;
	return found;
}

static void bench(bool two_ids)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);
	uint64_t nanoseconds;
	struct arrivals_sweep sweep;
	int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);

	sandbox_require(statistics >= 0, "statistics");
	open_arrivals();
	for (uint32_t i = 0; i < IN_FLIGHT; i++)
		arrive(i, two_ids);
	sandbox_require(bpf_obj_get_info_by_fd(arrivals.program.fd, &info, &length) == 0, "info");
	unsigned found = find_all(&nanoseconds);
	uint64_t started = clock_now_ns();
	sandbox_require(arrivals_sweep(&arrivals, &sweep) == 0, "sweep");
	printf("%s: %u of %u found with their own tags, %llu entries; the program %llu ns a "
	       "request "
	       "(its SYN with it), finding %llu ns, a sweep over all %llu ms; %u verified "
	       "instructions\n",
	       two_ids ? "two ids" : "one id ", found, IN_FLIGHT, (unsigned long long)sweep.entries,
	       (unsigned long long)(info.run_time_ns / IN_FLIGHT), (unsigned long long)nanoseconds,
	       (unsigned long long)((clock_now_ns() - started) / 1000000), info.verified_insns);
	program_unload(&arrivals.program);
	pins_close(&pins);
	close(statistics);
}

int main(void)
{
	char directory[PATH_MAX];

	sandbox_enter(directory);
	bench(false);
	bench(true);
	return 0;
}
