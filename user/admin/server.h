/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The admin address: HTTP for reading only (/metrics, /healthz, /readyz, /status). Serves from
 * threads of its own, so that it answers whatever the workers do; /healthz and /readyz are answered
 * at once, however many ask for the other two (admin/pages.h). Requests whose Host is not an
 * address of ours or a loopback name, or that carry an Origin, are refused: a web page must not
 * read it.
 */
#include "admin/snapshot.h"

struct admin_server;

/* `address` is "127.0.0.1:15020" or "[::1]:15020". 0, or a negative errno (logged). */
int admin_server_start(const char *address, const struct admin_source *source,
		       struct admin_server **ret_server);
void admin_server_stop(struct admin_server *server);
