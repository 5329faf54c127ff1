/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/sharing/shared.h"

#include <stdatomic.h>

bool shared_connection_opened(struct shared *shared, const struct lanetag_connection *peers,
			      bool at_gateway, bool *ret_counted)
{
	size_t maximum = shared->options.maximum_connections_per_client;
	bool is_limited = maximum != PROXY_OPTION_ANY && (at_gateway || shared->limits_hops);

	*ret_counted = false;
	if (atomic_fetch_add_explicit(&shared->connections, 1, memory_order_relaxed) >=
	    shared->options.maximum_connections)
		goto refuse;
	if (is_limited && !clients_enter(&shared->clients, peers->remote_address, maximum))
		goto refuse;
	*ret_counted = is_limited;
	return true;
refuse:
	atomic_fetch_sub_explicit(&shared->connections, 1, memory_order_relaxed);
	return false;
}

void shared_connection_closed(struct shared *shared, const struct lanetag_connection *peers)
{
	atomic_fetch_sub_explicit(&shared->connections, 1, memory_order_relaxed);
	if (peers)
		clients_leave(&shared->clients, peers->remote_address);
}
