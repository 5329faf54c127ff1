/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What the kernel will drop for its checksum must not be read: the same bytes come again, and may be
 * others. The program runs before the kernel looks, so it looks itself, unless the kernel or the
 * device has done so already (RFC 1071; struct sk_buff in include/linux/skbuff.h).
 */
#include <linux/in.h>
#include <bpf/bpf_core_read.h>

#include "kernel_types.h"
#include "packet.h"
#include "window.h"

/* sk_buff.ip_summed: checked by the device; or ours, to be filled in where it leaves the machine. */
#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_PARTIAL 3

#define SUM_STEP 512U  /* bytes: what bpf_csum_diff takes at most before Linux 6.15 */
#define SUM_STEPS 129U /* the longest IP packet, and a step more */

static __always_inline int is_checked_already(struct __sk_buff *skb)
{
	__u64 summed = BPF_CORE_READ_BITFIELD_PROBED((struct sk_buff *)(void *)skb, ip_summed);

	return summed == CHECKSUM_UNNECESSARY || summed == CHECKSUM_PARTIAL;
}

static __always_inline int is_right_sum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/*
 * Whether the ones' complement sum over the packet's bytes [from, to) and over `sum` is right. Works
 * in the window's memory, in which nothing stands yet. A global function: the verifier goes through
 * it once.
 */
__attribute__((noinline)) int has_right_sum(struct __sk_buff *skb, __u32 from, __u32 to, __u32 sum)
{
	struct window *window = own_window();

	if (!window)
		return 0;
	for (__u32 i = 0; i < SUM_STEPS && from < to; i++) {
		__u32 length = to - from;

		if (length > SUM_STEP)
			length = SUM_STEP;
		asm volatile("" : "+r"(length));
		length = ((length - 1) & (SUM_STEP - 1)) + 1; /* old verifiers */
		asm volatile("" : "+r"(length));
		/* The last one's end is filled up with zeros. */
		*(__u32 *)(window->bytes + length) = 0;
		if (bpf_skb_load_bytes(skb, from, window->bytes, length))
			return 0;
		sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)window->bytes, (length + 3) & ~3U,
					   sum);
		from += length;
	}
	return from >= to && is_right_sum(sum);
}

/* The header's own: no device is asked, as the kernel does not, either. */
static __always_inline int has_right_network_sum(struct __sk_buff *skb, const struct packet *packet)
{
	return packet->is_ipv6 ||
	       has_right_sum(skb, packet->network, packet->network + packet->network_header, 0);
}

/* RFC 9293 3.1: over a pseudo header, too. The 0xffff of a mapped address adds nothing. */
static __always_inline int has_right_transport_sum(struct __sk_buff *skb,
						   const struct packet *packet)
{
	__u32 sum = bpf_htonl(IPPROTO_TCP + (packet->end - packet->transport));

	if (is_checked_already(skb))
		return 1;
	sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)(void *)&packet->connection, 32, sum);
	return has_right_sum(skb, packet->transport, packet->end, sum);
}

/* False: the kernel will drop the packet. */
static __always_inline int packet_is_whole(struct __sk_buff *skb, const struct packet *packet)
{
	if (has_right_network_sum(skb, packet) && has_right_transport_sum(skb, packet))
		return 1;
	count_event(LANETAG_EVENT_CHECKSUM);
	return 0;
}
