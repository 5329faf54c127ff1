/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What an agent says of itself: HTTP for reading only. The admin address has /metrics, /status,
 * /healthz and /readyz, the monitoring address all but /status: it is for other machines. Serves
 * from threads of its own, so that it answers whatever the workers do; /healthz and /readyz are
 * answered at once, however many ask for the other two (admin/pages.h). Requests whose Host is not
 * an address or a loopback name, or that carry an Origin, are refused: a web page must not read it.
 * That keeps no one out else out.
 */
#include "admin/snapshot.h"

struct admin_server;

/* As "127.0.0.1:15020" or "[::1]:15020"; "": none. */
struct admin_addresses {
	const char *admin, *monitoring;
};

/* 0, or a negative errno (logged): then neither address is open. */
int admin_server_start(const struct admin_addresses *addresses, const struct admin_source *source,
		       struct admin_server **ret_server);
void admin_server_stop(struct admin_server *server);
