/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Listening sockets on their way from an old agent to a new one (lanetag run --takeover), so that
 * no connection is refused in between: the queues belong to the sockets, and these live on.
 */
#include <stddef.h>
#include "mesh/mesh.h"

struct proxy_socket {
	struct mesh_listener identity; /* `index` means nothing here */
	int fd;
};

struct proxy_sockets {
	struct proxy_socket *items;
	size_t count;
};

/* Closes what is left (fd >= 0) and frees the list. */
void proxy_sockets_free(struct proxy_sockets *sockets);

/*
 * Sends them over a connected Unix stream socket (SCM_RIGHTS), until `due_ns` (CLOCK_MONOTONIC) at
 * most. The caller keeps its own descriptors. 0 or a negative errno.
 */
int takeover_send(int unix_socket, const struct proxy_sockets *sockets, uint64_t due_ns);
/*
 * Receives what takeover_send sent. 0 and *ret_sockets, or a negative errno: -EPROTO for nonsense.
 * *ret_hears_signs: the sender's version takes signs of life (proxy/handover/handover.h).
 */
int takeover_receive(int unix_socket, struct proxy_sockets *ret_sockets, bool *ret_hears_signs);
