/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/proxy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/array.h"
#include "base/log.h"
#include "proxy/exchange/access_log.h"
#include "proxy/downstream/interception.h"
#include "proxy/downstream/listener.h"
#include "proxy/heartbeat.h"
#include "proxy/ports.h"
#include "proxy/thread.h"

#define DRAIN_STEP_MS 5

static void set_limits(struct proxy *proxy)
{
	const struct proxy_options *options = &proxy->shared.options;

	proxy->shared.request_limits = (struct http_limits){
		.head_bytes = options->maximum_head_bytes,
		.fields = options->maximum_fields,
		.target_bytes = options->maximum_target_bytes,
		.allow_bare_lf = options->allow_bare_lf,
	};
	proxy->shared.response_limits = http_default_limits;
	proxy->shared.response_limits.fields = HTTP_MAX_FIELDS;
}

#define LEAST_STANDARD_CLIENT_CONNECTIONS 1000
#define MAXIMUM_OVER_LIMIT 64
#define OVER_LIMIT_DESCRIPTORS 128 /* one in so many may be theirs */
#define RESERVED_DESCRIPTORS 32	   /* the agent's own: maps, files, logs */

/*
 * Each request under way needs a descriptor for its upstream: a quarter of what the process may
 * have is kept for these, so that a crowd of clients can't starve those that are being served.
 */
static void respect_descriptor_limit(struct proxy_options *options, bool is_configured)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return;
	size_t available = limit.rlim_cur / 4 * 3;
	size_t maximum = available > RESERVED_DESCRIPTORS ? available - RESERVED_DESCRIPTORS : 1;
	if (maximum >= options->maximum_connections)
		return;
	if (is_configured)
		log_warning("fewer connections than configured",
			    log_number("configured", options->maximum_connections),
			    log_number("possible", maximum),
			    log_number("open_files_limit", limit.rlim_cur));
	options->maximum_connections = maximum;
}

/* They must not take the descriptors that requests under way need. */
static unsigned over_limit_share(unsigned workers)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	rlim_t share = limit.rlim_cur / OVER_LIMIT_DESCRIPTORS / workers;
	return share < MAXIMUM_OVER_LIMIT ? (unsigned)share : MAXIMUM_OVER_LIMIT;
}

/*
 * One client of a gateway must not take all places. A load balancer that hides its clients' addresses
 * is one client: it gets many. Pods' calls are limited only where someone asks for it.
 */
static void set_client_limit(struct proxy *proxy)
{
	struct proxy_options *options = &proxy->shared.options;

	proxy->shared.limits_hops = options->maximum_connections_per_client != 0;
	if (proxy->shared.limits_hops)
		return;
	options->maximum_connections_per_client = options->maximum_connections / 4;
	if (options->maximum_connections_per_client < LEAST_STANDARD_CLIENT_CONNECTIONS)
		options->maximum_connections_per_client = LEAST_STANDARD_CLIENT_CONNECTIONS;
}

static void log_listener_failure(const struct mesh_listener *listener, int error)
{
	char address[ADDRESS_TEXT_BYTES];

	address_print(listener->address, address);
	log_error("listener not opened", log_text("address", address),
		  log_number("port", listener->port), log_errno(error));
}

/* The first socket of this listener in the list, taken out; -1: none is left. */
static int take_socket(struct proxy_sockets *sockets, const struct mesh_listener *listener)
{
	for (size_t i = 0; i < sockets->count; i++) {
		struct proxy_socket *socket = &sockets->items[i];
		int fd = socket->fd;

		if (fd < 0 || socket->identity.port != listener->port ||
		    socket->identity.kind != listener->kind ||
		    memcmp(socket->identity.address, listener->address, 16) != 0)
			continue;
		socket->fd = -1;
		return fd;
	}
	return -1;
}

/* Sockets for the listeners that `previous` (NULL: nothing) did not have. */
static int open_new_listeners(struct lease *lease, const struct mesh *previous,
			      struct proxy_sockets *inherited)
{
	const struct mesh *mesh = lease->configuration->mesh;

	for (size_t i = 0; i < lease->listener_count; i++) {
		const struct mesh_listener *listener = mesh_listener(mesh, i);

		if (previous && mesh_find_listener(previous, listener))
			continue;
		int fd = take_socket(inherited, listener);
		if (fd < 0)
			fd = listener_open_socket(listener);
		if (fd < 0) {
			log_listener_failure(listener, fd);
			return fd;
		}
		lease->listener_fds[i] = fd;
	}
	return 0;
}

/* The sockets to which intercepted calls come: for as long as the proxy lives. */
static int open_interceptors(const struct proxy *proxy, struct lease *lease,
			     struct proxy_sockets *inherited)
{
	for (int family = 0; family < LANETAG_FAMILIES; family++) {
		struct mesh_listener identity;

		if (!interceptor_identity(&proxy->shared.options,
					  (enum lanetag_address_family)family, &identity))
			continue;
		struct proxy_socket *socket =
			ARRAY_APPEND(lease->extra_sockets, lease->extra_count);
		if (!socket)
			return -ENOMEM;
		socket->identity = identity;
		socket->fd = take_socket(inherited, &identity);
		if (socket->fd < 0)
			socket->fd = listener_open_socket(&identity);
		if (socket->fd < 0) {
			log_listener_failure(&identity, socket->fd);
			return socket->fd;
		}
	}
	return 0;
}

/* Whether the new proxy has a listener for a socket that another one had. */
static bool has_listener(const struct proxy *proxy, const struct lease *lease,
			 const struct mesh_listener *identity)
{
	if (identity->kind == MESH_LISTENER_INTERCEPTED)
		return proxy->shared.options.interception;
	return mesh_find_listener(lease->configuration->mesh, identity);
}

/* More sockets than workers: each worker gets its share of those that are left. */
static int share_out(const struct proxy *proxy, struct lease **leases, unsigned count,
		     struct proxy_sockets *inherited)
{
	for (size_t i = 0; i < inherited->count; i++) {
		struct lease *lease = leases[i % count];

		if (inherited->items[i].fd < 0 ||
		    !has_listener(proxy, lease, &inherited->items[i].identity))
			continue;
		struct proxy_socket *socket =
			ARRAY_APPEND(lease->extra_sockets, lease->extra_count);
		if (!socket)
			return -ENOMEM;
		*socket = inherited->items[i];
		inherited->items[i].fd = -1;
	}
	return 0;
}

static int apply(struct proxy *proxy, struct configuration *configuration,
		 struct proxy_sockets *inherited)
{
	const struct mesh *previous = proxy->configuration ? proxy->configuration->mesh : NULL;
	struct lease **leases = calloc(proxy->shared.worker_count, sizeof(*leases));
	int error = leases ? 0 : -ENOMEM;

	for (unsigned i = 0; !error && i < proxy->shared.worker_count; i++) {
		leases[i] = lease_new(configuration);
		error = leases[i] ? open_new_listeners(leases[i], previous, inherited) : -ENOMEM;
		if (!error && !previous)
			error = open_interceptors(proxy, leases[i], inherited);
	}
	if (!error)
		error = share_out(proxy, leases, proxy->shared.worker_count, inherited);
	if (error) {
		for (unsigned i = 0; leases && i < proxy->shared.worker_count; i++)
			lease_free(NULL, leases[i]);
		free(leases);
		return error;
	}
	for (unsigned i = 0; i < proxy->shared.worker_count; i++)
		thread_post_lease(&proxy->threads[i], leases[i]);
	free(leases);
	/* Only now can every worker find it. */
	holds_set_current(proxy->shared.holds, configuration->generation, loop_clock_ms());
	configuration_take(configuration);
	configuration_drop(proxy->configuration);
	proxy->configuration = configuration;
	return 0;
}

int proxy_apply(struct proxy *proxy, struct configuration *configuration)
{
	struct proxy_sockets none = {0};

	int error = ports_check(&proxy->shared.options, configuration->mesh,
				proxy->configuration->mesh);

	if (error)
		return error;
	interceptor_narrow(&proxy->shared.options, configuration);
	error = apply(proxy, configuration, &none);
	interceptor_widen(&proxy->shared.options,
			  proxy->configuration); /* the old one, where that stays */
	return error;
}

void proxy_set_kernel(struct proxy *proxy, struct tagger *tagger, const struct causes *causes)
{
	atomic_store(&proxy->shared.tagger, tagger);
	atomic_store(&proxy->shared.causes, causes);
}

bool proxy_wait_for_workers(struct proxy *proxy, unsigned timeout_ms)
{
	const struct timespec step = {.tv_nsec = DRAIN_STEP_MS * 1000000L};
	unsigned waited = 0;

	for (unsigned i = 0; i < proxy->shared.worker_count; i++) {
		struct thread *thread = &proxy->threads[i];
		uint64_t rounds = thread_rounds(thread);

		thread_wake(thread);
		for (; thread_rounds(thread) == rounds; waited += DRAIN_STEP_MS) {
			if (waited >= timeout_ms)
				return false;
			nanosleep(&step, NULL);
		}
	}
	return true;
}

int proxy_share_sockets(struct proxy *proxy, struct proxy_sockets *ret_sockets)
{
	struct proxy_sockets sockets = {0};

	for (unsigned i = 0; i < proxy->shared.worker_count; i++) {
		int error = thread_export_sockets(&proxy->threads[i], &sockets);

		if (error) {
			proxy_sockets_free(&sockets);
			return error;
		}
	}
	*ret_sockets = sockets;
	return 0;
}

static void end_workers(struct proxy *proxy)
{
	heartbeat_stop(proxy->heartbeat);
	for (unsigned i = 0; i < proxy->shared.worker_count; i++)
		thread_end(&proxy->threads[i]);
	if (proxy->shared.access_log_fd >= 0)
		close(proxy->shared.access_log_fd);
	configuration_drop(proxy->configuration);
	clients_free(&proxy->shared.clients);
	free(proxy->shared.statistics);
	free(proxy->shared.holds);
	free(proxy->threads);
	free(proxy);
}

static int open_access_log(struct proxy *proxy, const char *path)
{
	int fd = access_log_open(path);

	proxy->shared.access_log_fd = fd;
	if (fd >= 0)
		return 0;
	log_error("access log not opened", log_text("path", path), log_errno(fd));
	return fd;
}

static int start_threads(struct proxy *proxy)
{
	struct shared *shared = &proxy->shared;
	unsigned count = shared->options.workers;
	int error = 0;

	proxy->threads = calloc(count, sizeof(*proxy->threads));
	shared->statistics = calloc(count, sizeof(*shared->statistics));
	shared->holds = holds_new(shared->options.rules_kept_ms);
	if (!proxy->threads || !shared->statistics || !shared->holds)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		shared->statistics[i] = &proxy->threads[i].worker.statistics;
	while (!error && shared->worker_count < count) {
		error = thread_start(&proxy->threads[shared->worker_count], shared,
				     shared->worker_count);
		if (error)
			log_error("worker not started", log_errno(error));
		else
			shared->worker_count++;
	}
	return error;
}

int proxy_start(const struct proxy_options *options, struct tagger *tagger,
		struct configuration *configuration, struct proxy_sockets *sockets,
		struct proxy **ret_proxy)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));
	int error = 0;

	if (!proxy)
		return -ENOMEM;
	proxy->shared.options = *options;
	proxy_options_fill(&proxy->shared.options);
	respect_descriptor_limit(&proxy->shared.options, options->maximum_connections != 0);
	set_client_limit(proxy);
	proxy->shared.maximum_over_limit = over_limit_share(proxy->shared.options.workers);
	set_limits(proxy);
	proxy_set_kernel(proxy, tagger, options->causes);
	proxy->shared.access_log_fd = -1;
	if (options->access_log)
		error = open_access_log(proxy, options->access_log);
	clients_start(&proxy->shared.clients);
	if (!error)
		error = start_threads(proxy);
	if (!error)
		error = apply(proxy, configuration, sockets);
	if (!error && proxy->shared.options.interception) {
		interceptor_narrow(&proxy->shared.options, configuration);
		interceptor_widen(&proxy->shared.options, configuration);
		error = heartbeat_start(proxy->shared.options.interception, proxy->threads,
					proxy->shared.worker_count, &proxy->heartbeat);
	}
	if (error) {
		end_workers(proxy);
		return error;
	}
	*ret_proxy = proxy;
	return 0;
}

size_t proxy_detailed_lanes(const struct proxy *proxy)
{
	return proxy->shared.options.detailed_lanes;
}

void proxy_read_statistics(const struct proxy *proxy, struct proxy_statistics *ret_statistics)
{
	memset(ret_statistics, 0, sizeof(*ret_statistics));
	for (unsigned i = 0; i < proxy->shared.worker_count; i++)
		statistics_sum(&proxy->threads[i].worker.statistics, ret_statistics);
}

void proxy_read_series(const struct proxy *proxy, struct upstream_series *series)
{
	for (unsigned i = 0; i < proxy->shared.worker_count; i++)
		series_sum(proxy->threads[i].worker.upstreams.series, series);
}

/* A worker that is not there yet may still take somebody in. */
static bool is_drained(struct proxy *proxy)
{
	for (unsigned i = 0; i < proxy->shared.worker_count; i++) {
		if (!thread_has_stopped(&proxy->threads[i]))
			return false;
	}
	return proxy->shared.connections == 0;
}

void proxy_stop(struct proxy *proxy, unsigned timeout_ms)
{
	const struct timespec step = {.tv_nsec = DRAIN_STEP_MS * 1000000L};

	heartbeat_stop(proxy->heartbeat);
	proxy->heartbeat = NULL;
	for (unsigned i = 0; i < proxy->shared.worker_count; i++)
		thread_ask_stop(&proxy->threads[i]);
	for (unsigned waited = 0; waited < timeout_ms; waited += DRAIN_STEP_MS) {
		nanosleep(&step, NULL);
		if (is_drained(proxy))
			break;
	}
	end_workers(proxy);
}
