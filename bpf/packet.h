/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * From a packet to the TCP segment in it: Ethernet or none, VLAN tags, IPv4 and IPv6 with options,
 * TCP with options. Payload is non-linear on veth and lo, so headers are copied out.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "maps.h"

#define ETHERNET_BYTES 14
#define VLAN_BYTES 4
#define VLAN_DEPTH 2
#define IPV6_EXTENSIONS 4
#define FRAGMENT_BITS 0x3fff /* more fragments, and the offset */

struct packet {
	struct lanetag_connection connection;
	__u32 network;	 /* offset of the IP header */
	__u32 transport; /* offset of the TCP header */
	__u32 end;	 /* offset behind the IP packet; Ethernet may pad */
	__u32 payload;	 /* offset */
	__u32 sequence;
	__u8 network_header; /* of IPv4: its length */
	__u8 is_ipv6;
	__u8 syn, ack, fin, rst;
};

/*
 * The cheap way out for traffic to other ports: true only if this is surely an IP packet without
 * tags and options that is not for one of our ports.
 */
static __always_inline int is_surely_not_ours(struct __sk_buff *skb)
{
	const __u8 *data = (const __u8 *)(long)skb->data;
	const __u8 *end = (const __u8 *)(long)skb->data_end;

	if (data + ETHERNET_BYTES + sizeof(struct iphdr) + 4 > end)
		return 0;
	const struct iphdr *ip = (const struct iphdr *)(data + ETHERNET_BYTES);
	if (*(const __be16 *)(data + 12) == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip6 = (const struct ipv6hdr *)(data + ETHERNET_BYTES);

		if ((const __u8 *)(ip6 + 1) + 4 > end || ip6->nexthdr != IPPROTO_TCP)
			return 0;
		return !has_port(&lane_ports, bpf_ntohs(*((const __be16 *)(ip6 + 1) + 1)));
	}
	if (*(const __be16 *)(data + 12) != bpf_htons(ETH_P_IP) || *(const __u8 *)ip != 0x45)
		return 0;
	if (ip->protocol != IPPROTO_TCP)
		return 1;
	return !has_port(&lane_ports, bpf_ntohs(*(const __be16 *)(data + ETHERNET_BYTES + 22)));
}

static __always_inline int parse_ipv4(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5 ||
	    ip.protocol != IPPROTO_TCP)
		return -1;
	if (ip.frag_off & bpf_htons(FRAGMENT_BITS)) {
		count_event(LANETAG_EVENT_FRAGMENT);
		return -1;
	}
	address_set_ipv4(packet->connection.remote_address, ip.saddr);
	address_set_ipv4(packet->connection.local_address, ip.daddr);
	packet->network = offset;
	packet->network_header = ip.ihl * 4;
	packet->transport = offset + ip.ihl * 4;
	/* 0: a packet of more than 64 KiB that segmentation offload has put together */
	packet->end = ip.tot_len ? offset + bpf_ntohs(ip.tot_len) : skb->len;
	return 0;
}

static __always_inline int parse_ipv6(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct ipv6hdr ip;
	__u8 extension[2];

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
		return -1;
	__builtin_memcpy(packet->connection.remote_address, &ip.saddr, 16);
	__builtin_memcpy(packet->connection.local_address, &ip.daddr, 16);
	packet->is_ipv6 = 1;
	packet->end = ip.payload_len ? offset + sizeof(ip) + bpf_ntohs(ip.payload_len) : skb->len;
	__u8 next = ip.nexthdr;
	offset += sizeof(ip);
	for (int i = 0; i < IPV6_EXTENSIONS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS && next != IPPROTO_ROUTING)
			break;
		if (bpf_skb_load_bytes(skb, offset, extension, sizeof(extension)))
			return -1;
		next = extension[0];
		offset += (extension[1] + 1) * 8;
	}
	if (next == IPPROTO_FRAGMENT)
		count_event(LANETAG_EVENT_FRAGMENT);
	packet->transport = offset;
	return next == IPPROTO_TCP ? 0 : -1;
}

static __always_inline int parse_tcp(struct __sk_buff *skb, struct packet *packet)
{
	struct tcphdr tcp;

	if (bpf_skb_load_bytes(skb, packet->transport, &tcp, sizeof(tcp)) || tcp.doff < 5)
		return -1;
	packet->connection.remote_port = bpf_ntohs(tcp.source);
	packet->connection.local_port = bpf_ntohs(tcp.dest);
	packet->connection.reserved = 0;
	packet->payload = packet->transport + tcp.doff * 4;
	packet->sequence = bpf_ntohl(tcp.seq);
	packet->syn = tcp.syn;
	packet->ack = tcp.ack;
	packet->fin = tcp.fin;
	packet->rst = tcp.rst;
	return packet->payload <= packet->end && packet->end <= skb->len ? 0 : -1;
}

/* Gives the offset of the IP header, and its protocol in network order; -1: neither IP nor tagged
 * IP. */
static __always_inline int find_network(struct __sk_buff *skb, __be16 *ret_protocol)
{
	__u8 header[ETHERNET_BYTES];
	__be16 tag[2];
	__u32 offset = ETHERNET_BYTES;

	if (bpf_skb_load_bytes(skb, 0, header, sizeof(header)))
		return -1;
	__be16 protocol = *(__be16 *)(header + 12);
	for (int i = 0; i < VLAN_DEPTH; i++) {
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, offset, tag, sizeof(tag)))
			return -1;
		protocol = tag[1];
		offset += VLAN_BYTES;
	}
	*ret_protocol = protocol;
	if (protocol == bpf_htons(ETH_P_IP) || protocol == bpf_htons(ETH_P_IPV6))
		return (int)offset;
	/* An interface without link headers (tun, ipip): the packet begins with IP itself. */
	*ret_protocol = (__be16)skb->protocol;
	if (skb->protocol == bpf_htons(ETH_P_IP) && header[0] >> 4 == 4)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IPV6) && header[0] >> 4 == 6)
		return 0;
	return -1;
}

/* 0 if it is a whole TCP segment to one of our ports. */
static __always_inline int packet_parse(struct __sk_buff *skb, struct packet *packet)
{
	__be16 protocol;
	int offset, error;

	if (is_surely_not_ours(skb))
		return -1;
	offset = find_network(skb, &protocol);
	if (offset < 0)
		return -1;
	if (protocol == bpf_htons(ETH_P_IP))
		error = parse_ipv4(skb, (__u32)offset, packet);
	else
		error = parse_ipv6(skb, (__u32)offset, packet);
	if (error || parse_tcp(skb, packet))
		return -1;
	return has_port(&lane_ports, packet->connection.local_port) ? 0 : -1;
}
