/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Which TCP connections end in this network namespace: asked of the kernel, see sock_diag(7). */
#include <lanetag/connection.h>

/* A descriptor to ask through (close(2)); -EOPNOTSUPP where this kernel can't tell, or another
 * negative errno. */
int sockets_open(void);
/* 1: the connection has a socket; 0: it has none, or only remnants of one; else a negative errno. */
int sockets_ask(int diagnosis, const struct lanetag_connection *connection);
