/* SPDX-License-Identifier: GPL-2.0-only */
#include "agent/kernel_side.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"

/* Arrivals end by age: looked after this often. */
#define SWEEP_MS 10000
#define WORKERS_TIMEOUT_MS 1000

/* The caller frees. */
static uint16_t *listener_ports(const struct mesh *mesh, enum mesh_listener_kind kind,
				size_t *ret_count)
{
	uint16_t *ports = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < mesh_listener_count(mesh); i++) {
		const struct mesh_listener *listener = mesh_listener(mesh, i);

		if (listener->kind != kind)
			continue;
		uint16_t *port = ARRAY_APPEND(ports, *ret_count);
		if (port)
			*port = listener->port;
	}
	return ports;
}

static void tell_ports(struct kernel_side *kernel, const struct mesh *mesh)
{
	size_t count;
	uint16_t *ports = listener_ports(mesh, MESH_LISTENER_GATEWAY, &count);
	int error = tagger_set_ports(kernel->tagger, ports, count);

	if (error)
		log_error("ports not given to the kernel", log_errno(error));
	free(ports);
}

/* 0: calls are not to be intercepted. */
static uint16_t interception_port(const struct agent_options *options)
{
	const struct lanetag_destination *agent = options->interception.agent;

	return agent[LANETAG_IPV4].port ? agent[LANETAG_IPV4].port : agent[LANETAG_IPV6].port;
}

static void tell_hop_ports(struct kernel_side *kernel, const struct mesh *mesh)
{
	size_t count;
	uint16_t *ports = listener_ports(mesh, MESH_LISTENER_SERVICE, &count);
	uint16_t *intercepted = kernel->interception ? ARRAY_APPEND(ports, count) : NULL;

	if (intercepted)
		*intercepted = interception_port(kernel->options);
	int error = threads_set_ports(kernel->threads, ports, count);

	if (error)
		log_error("ports of Services not given to the kernel", log_errno(error));
	free(ports);
}

/*
 * Requests that go to endpoints of the mesh are noted; other traffic of the pods isn't looked into.
 */
static void tell_pod_ports(struct kernel_side *kernel, const struct mesh *mesh)
{
	uint16_t *ports = NULL;
	size_t count = 0;

	for (size_t i = 0; i < mesh_cluster_count(mesh); i++) {
		const struct mesh_cluster *cluster = mesh_cluster(mesh, i);

		for (size_t j = 0; j < cluster->endpoint_count; j++) {
			uint16_t *port = ARRAY_APPEND(ports, count);
			if (port)
				*port = cluster->endpoints[j].port;
		}
	}
	int error = tagger_set_ports(kernel->arrivals, ports, count);
	if (error)
		log_error("ports of pods not given to the kernel", log_errno(error));
	free(ports);
}

static void tell_lane_names(struct kernel_side *kernel, const struct tag_rules *rules)
{
	uint32_t generation = tag_rules_ruleset(rules)->generation;

	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		const struct lanetag_rule *rule = &tag_rules_ruleset(rules)->rules[i];
		char *header = span_copy(tag_rules_header(rules, i));

		for (uint8_t j = 0; header && j < rule->policy_count; j++) {
			char *value = span_copy(tag_rules_value(rules, i, j));
			if (value)
				tagger_set_lane_name(kernel->tagger, generation,
						     rule->policies[j].lane, header, value);
			free(value);
		}
		if (header)
			tagger_set_lane_name(kernel->tagger, generation, rule->untagged_lane,
					     header, "");
		free(header);
	}
}

/* Without the new rules in the kernel everything still works: old marks are stale, the agent
 * decides. */
void kernel_side_tell(struct kernel_side *kernel, const struct configuration *configuration)
{
	if (kernel->released)
		return;
	if (kernel->arrivals)
		tell_pod_ports(kernel, configuration->mesh);
	if (kernel->threads)
		tell_hop_ports(kernel, configuration->mesh);
	if (!kernel->tagger)
		return;
	tell_lane_names(kernel, configuration->tag_rules);
	tell_ports(kernel, configuration->mesh);
	int error = tagger_set_rules(kernel->tagger, tag_rules_ruleset(configuration->tag_rules));
	if (error)
		log_error("rules not given to the kernel", log_errno(error));
}

static int open_tagger(struct kernel_side *kernel)
{
	if (!kernel->options->use_kernel) {
		log_info("kernel tagger off", log_text("reason", "--no-kernel"));
		return 0;
	}
	int error = tagger_open(&kernel->options->tagger, &kernel->tagger);
	if (error && error != -EBUSY)
		log_warning("going on without the kernel tagger", log_errno(error));
	return error;
}

static int open_arrivals(struct kernel_side *kernel)
{
	const struct agent_options *options = kernel->options;
	struct tagger_options arrivals = options->arrivals;
	char directory[PATH_MAX];

	if (!options->use_kernel || arrivals.interface_count == 0)
		return 0;
	arrivals.purpose = TAGGER_ARRIVALS;
	arrivals.deliveries = options->threads.program_count > 0;
	/* Beside the tagger's: each has a directory that is its own. */
	snprintf(directory, sizeof(directory), "%s-arrivals", options->tagger.pin_directory);
	arrivals.pin_directory = directory;
	int error = tagger_open(&arrivals, &kernel->arrivals);
	if (error == 0) {
		error = arrivals_set_fields(kernel->arrivals, &options->arrivals_fields, 1);
		if (error) {
			tagger_close(kernel->arrivals);
			kernel->arrivals = NULL;
		}
	}
	if (error && error != -EBUSY)
		log_warning("going on without the arrivals at pods", log_errno(error));
	else if (error == 0 && arrivals.deliveries)
		threads_open(kernel->arrivals, &options->threads, &kernel->threads);
	return error;
}

static void open_interception(struct kernel_side *kernel)
{
	struct interception_options interception = kernel->options->interception;
	char directory[PATH_MAX];

	if (!kernel->options->use_kernel || !interception_port(kernel->options))
		return;
	snprintf(directory, sizeof(directory), "%s-interception",
		 kernel->options->tagger.pin_directory);
	interception.pin_directory = directory;
	int error = interception_open(&interception, &kernel->interception);
	if (error)
		log_warning("going on without interception", log_errno(error));
	else
		log_info("calls are intercepted",
			 log_number("port", interception_port(kernel->options)),
			 log_text("fail", interception.fail_closed ? "closed" : "open"));
}

static void set_causes(struct kernel_side *kernel)
{
	kernel->causes_in_use = !kernel->causes_in_use;
	kernel->causes[kernel->causes_in_use] = (struct causes){
		kernel->arrivals, &kernel->options->arrivals_fields, kernel->threads};
}

const struct causes *kernel_side_causes(const struct kernel_side *kernel)
{
	return &kernel->causes[kernel->causes_in_use];
}

static int open_pinned(struct kernel_side *kernel)
{
	int error = open_tagger(kernel);

	if (error != -EBUSY)
		error = open_arrivals(kernel);
	set_causes(kernel);
	return error == -EBUSY ? error : 0;
}

static void close_pinned(struct kernel_side *kernel)
{
	tagger_close(kernel->tagger);
	threads_close(kernel->threads);
	tagger_close(kernel->arrivals);
	kernel->tagger = kernel->arrivals = NULL;
	kernel->threads = NULL;
}

int kernel_side_open(struct kernel_side *kernel, const struct agent_options *options)
{
	*kernel = (struct kernel_side){.options = options};
	int error = open_pinned(kernel);

	if (error)
		close_pinned(kernel);
	else
		open_interception(kernel);
	return error;
}

int kernel_side_take_back(struct kernel_side *kernel, struct proxy *proxy)
{
	struct kernel_side before = *kernel;

	kernel->tagger = kernel->arrivals = NULL;
	kernel->threads = NULL;
	int error = open_pinned(kernel);
	if (error == 0 && (before.tagger != NULL) != (kernel->tagger != NULL))
		error = -EAGAIN; /* what was possible before is so again later */
	if (error) {
		close_pinned(kernel);
		*kernel = before;
		return error;
	}
	kernel->released = false;
	if (proxy)
		proxy_set_kernel(proxy, kernel->tagger, kernel_side_causes(kernel));
	/* A worker that hangs may still read what was there: better kept than freed. */
	if (!proxy || proxy_wait_for_workers(proxy, WORKERS_TIMEOUT_MS))
		close_pinned(&before);
	return 0;
}

int kernel_side_event_fd(const struct kernel_side *kernel, const struct tagger *tagger)
{
	return tagger && !kernel->released ? tagger_event_fd(tagger) : -1;
}

uint64_t kernel_side_sweep_due_ns(const struct kernel_side *kernel)
{
	return kernel->arrivals && !kernel->released ? kernel->sweep_due_ns : UINT64_MAX;
}

bool kernel_side_sweep(struct kernel_side *kernel, struct arrivals_sweep *ret_sweep)
{
	if (clock_now_ns() < kernel_side_sweep_due_ns(kernel))
		return false;
	int error = arrivals_sweep(kernel->arrivals, ret_sweep);
	kernel->sweep_due_ns = clock_now_ns() + SWEEP_MS * 1000000ULL;
	if (error)
		log_warning("arrivals not swept", log_errno(error));
	return error == 0;
}

static void read_tagger(struct tagger *tagger, struct admin_snapshot *snapshot)
{
	tagger_lane_requests(tagger, snapshot->kernel_lane_requests);
	tagger_events(tagger, snapshot->kernel_events);
	tagger_count_tables(tagger, &snapshot->kernel_tables);
}

void kernel_side_read_counts(const struct kernel_side *kernel, struct admin_snapshot *snapshot)
{
	/* What is released marks by another agent's rules, or by nobody's. */
	snapshot->kernel_active = kernel->tagger && !kernel->released;
	if (snapshot->kernel_active)
		read_tagger(kernel->tagger, snapshot);
	snapshot->arrivals_active = kernel->arrivals != NULL;
	if (kernel->arrivals) {
		arrivals_counts(kernel->arrivals, snapshot->arrivals);
		snapshot->arrivals_capacity = arrivals_capacity(kernel->arrivals);
	}
	snapshot->threads_active = kernel->threads != NULL;
	if (kernel->threads)
		threads_counts(kernel->threads, snapshot->threads);
	snapshot->interception_active = kernel->interception != NULL;
	if (kernel->interception)
		interception_read_counts(kernel->interception, &snapshot->interception);
}

void kernel_side_release(struct kernel_side *kernel)
{
	kernel->released = true;
	if (kernel->tagger)
		tagger_release(kernel->tagger);
	if (kernel->arrivals)
		tagger_release(kernel->arrivals);
}

void kernel_side_detach(struct kernel_side *kernel)
{
	interception_detach(kernel->interception);
}

void kernel_side_close(struct kernel_side *kernel)
{
	close_pinned(kernel);
	interception_close(kernel->interception);
}
