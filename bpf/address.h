/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Addresses as all maps have them: 16 bytes in network byte order, aligned to words, IPv4 in the
 * IPv4-mapped form of RFC 4291 2.5.5.2.
 */
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IPV4_MAPPED_WORD bpf_htonl(0xffff)

static __always_inline void address_set_ipv4(void *address, __be32 ipv4)
{
	__u32 *words = address;

	words[0] = 0;
	words[1] = 0;
	words[2] = IPV4_MAPPED_WORD;
	words[3] = ipv4;
}

static __always_inline int address_is_ipv4(const void *address)
{
	const __u32 *words = address;

	return words[0] == 0 && words[1] == 0 && words[2] == IPV4_MAPPED_WORD;
}
