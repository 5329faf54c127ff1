/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A TCP connection as its server sees it: remote is the client, local is the agent's listener.
 * Addresses are in network byte order, IPv4 in the IPv4-mapped form of RFC 4291 2.5.5.2; ports are
 * in host byte order, so that a dump can be read.
 */
#include <lanetag/types.h>

struct lanetag_connection {
	__u8 remote_address[16];
	__u8 local_address[16];
	__u16 remote_port;
	__u16 local_port;
	__u32 reserved; /* 0 */
} __attribute__((aligned(8)));

#define LANETAG_CONNECTION_WORDS 5

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_connection) == 8 * LANETAG_CONNECTION_WORDS,
		      "connection layout");

/* One step of the hash that chooses slots of flows and marks. */
LANETAG_INLINE __u64 lanetag_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9E3779B185EBCA87ULL;
	return hash ^ hash >> 32;
}

/* Not keyed: who makes connections collide costs himself the kernel's help, nothing else. */
LANETAG_INLINE __u64 lanetag_connection_hash(const struct lanetag_connection *connection)
{
	const __u64 *words = (const __u64 *)connection;
	__u64 hash = 0;

	for (int i = 0; i < LANETAG_CONNECTION_WORDS; i++)
		hash = lanetag_mix(hash, words[i]);
	return hash;
}

LANETAG_INLINE int lanetag_connection_equal(const struct lanetag_connection *a,
					    const struct lanetag_connection *b)
{
	const __u64 *left = (const __u64 *)a, *right = (const __u64 *)b;
	__u64 difference = 0;

	for (int i = 0; i < LANETAG_CONNECTION_WORDS; i++)
		difference |= left[i] ^ right[i];
	return difference == 0;
}
