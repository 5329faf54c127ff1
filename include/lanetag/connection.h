/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A TCP connection as its server sees it: remote is the client, local is the agent's listener.
 * Addresses are in network byte order, IPv4 in the IPv4-mapped form of RFC 4291 2.5.5.2; ports are in
 * host byte order, so that a dump can be read.
 */
#include <lanetag/types.h>

struct lanetag_connection {
	__u8 remote_address[16];
	__u8 local_address[16];
	__u16 remote_port;
	__u16 local_port;
};

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_connection) == 36, "connection layout");
