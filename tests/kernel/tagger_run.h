/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The tagger's program run on made packets (BPF_PROG_TEST_RUN), without any interface: what it
 * writes is read the way the agent reads it.
 */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <lanetag/flow.h>
#include "kernel/sandbox.h"
#include "kernel/tagger_internal.h"

#define RUN_PORT 8080
#define RUN_PAYLOAD_MAX 3000 /* of a packet: the kernel takes about a page in a test run */

enum run_flags {
	RUN_SYN = 1,
	RUN_FIN = 2,
	RUN_RST = 4,
};

/* A connection whose packets are made by hand. */
struct run_flow {
	struct lanetag_connection connection;
	uint32_t first_sequence; /* the SYN's */
	bool vlan, tcp_options, ip_options;
};

static inline void run_open(struct tagger *tagger, struct pins *pins,
			    const struct lanetag_ruleset *ruleset)
{
	struct program_options options = {.kind = PROGRAM_TAGGER, .variant = sandbox_variant()};
	uint16_t port = RUN_PORT;

	memset(tagger, 0, sizeof(*tagger));
	sandbox_require(pins_open(pins, NULL) == 0, "pins");
	sandbox_require(program_load(pins, &options, &tagger->program) == 0, "load");
	sandbox_require(marks_open(tagger) == 0, "marks");
	sandbox_require(tagger_set_rules(tagger, ruleset) == 0, "rules");
	sandbox_require(tagger_set_ports(tagger, &port, 1) == 0, "ports");
}

static inline void run_close(struct tagger *tagger, struct pins *pins)
{
	marks_close(tagger);
	program_unload(&tagger->program);
	pins_close(pins);
}

/* IPv4 by default; `number` tells flows apart. */
static inline void run_flow_init(struct run_flow *flow, uint32_t number, bool ipv6)
{
	struct in_addr remote = {htonl(0x0a000000 | (number >> 12))}, local = {htonl(0x0a630001)};

	memset(flow, 0, sizeof(*flow));
	sandbox_map_address(flow->connection.remote_address, remote);
	sandbox_map_address(flow->connection.local_address, local);
	if (ipv6) {
		memcpy(flow->connection.remote_address, "\xfd\0\0\0\0\0\0\1\0\0\0\0", 12);
		memcpy(flow->connection.local_address, "\xfd\0\0\0\0\0\0\2\0\0\0\0", 12);
	}
	flow->connection.remote_port = (uint16_t)(20000 + (number & 4095));
	flow->connection.local_port = RUN_PORT;
	flow->first_sequence = number * 2654435761U; /* some wrap within their first bytes */
}

/* RFC 1071, over what may be of odd length; `sum` is of what stands before. */
static inline uint32_t run_sum(const void *data, size_t length, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline uint16_t run_checksum(const void *data, size_t length, uint32_t sum)
{
	return htons((uint16_t)~run_sum(data, length, sum));
}

static inline size_t run_put_network(const struct run_flow *flow, uint8_t *at, size_t tcp_length)
{
	const uint8_t *remote = flow->connection.remote_address;
	const uint8_t *local = flow->connection.local_address;

	if (remote[0] == 0xfd) {
		size_t extension = flow->ip_options ? 8 : 0;
		struct ip6_hdr ip = {.ip6_hlim = 64};

		ip.ip6_vfc = 0x60; /* shares a union with the other fields */
		ip.ip6_plen = htons((uint16_t)(tcp_length + extension));
		ip.ip6_nxt = extension ? IPPROTO_DSTOPTS : IPPROTO_TCP;
		memcpy(&ip.ip6_src, remote, 16);
		memcpy(&ip.ip6_dst, local, 16);
		memcpy(at, &ip, sizeof(ip));
		if (extension)
			memcpy(at + sizeof(ip), "\x06\x00\x01\x04\0\0\0\0", 8);
		return sizeof(ip) + extension;
	}
	struct iphdr ip = {.version = 4, .ihl = flow->ip_options ? 7 : 5, .ttl = 64};
	ip.protocol = IPPROTO_TCP;
	ip.tot_len = htons((uint16_t)(ip.ihl * 4U + tcp_length));
	memcpy(&ip.saddr, remote + 12, 4);
	memcpy(&ip.daddr, local + 12, 4);
	memcpy(at, &ip, sizeof(ip));
	memset(at + sizeof(ip), 1, ip.ihl * 4U - sizeof(ip)); /* no-operation options */
	ip.check = run_checksum(at, ip.ihl * 4U, 0);
	memcpy(at, &ip, sizeof(ip));
	return ip.ihl * 4U;
}

/* The packet with data[0, length) at stream offset `offset`; its length. */
static inline size_t run_packet(const struct run_flow *flow, uint64_t offset, const void *data,
				size_t length, unsigned flags, uint8_t packet[4096])
{
	size_t at = 2 * ETH_ALEN, options = flow->tcp_options ? 12 : 0;
	bool ipv6 = flow->connection.remote_address[0] == 0xfd;
	struct tcphdr tcp = {.ack = !(flags & RUN_SYN), .syn = !!(flags & RUN_SYN)};

	memset(packet, 2, at);
	if (flow->vlan) {
		memcpy(packet + at, "\x81\x00\x00\x07", 4);
		at += 4;
	}
	memcpy(packet + at, ipv6 ? "\x86\xdd" : "\x08\x00", 2);
	at += 2;
	at += run_put_network(flow, packet + at, sizeof(tcp) + options + length);
	tcp.source = htons(flow->connection.remote_port);
	tcp.dest = htons(flow->connection.local_port);
	tcp.seq = htonl(flow->first_sequence + (uint32_t)offset + !(flags & RUN_SYN));
	tcp.doff = (uint16_t)((sizeof(tcp) + options) / 4) & 15;
	tcp.fin = !!(flags & RUN_FIN);
	tcp.rst = !!(flags & RUN_RST);
	memcpy(packet + at, &tcp, sizeof(tcp));
	memset(packet + at + sizeof(tcp), 1, options);
	at += sizeof(tcp) + options;
	if (length)
		memcpy(packet + at, data, length);
	at += length;
	uint8_t *segment = packet + at - length - options - sizeof(tcp);
	size_t segment_length = sizeof(tcp) + options + length;
	uint32_t pseudo = run_sum(&flow->connection, 32, IPPROTO_TCP + (uint32_t)segment_length);
	tcp.check = run_checksum(segment, segment_length, pseudo);
	memcpy(segment, &tcp, sizeof(tcp));
	return at;
}

/* Runs a packet `repeat` times; nanoseconds each. */
static inline uint32_t run_packet_repeated(const struct tagger *tagger, const uint8_t *packet,
					   size_t length, int repeat)
{
	uint8_t padded[4096] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options);

	memcpy(padded, packet, length);
	options.data_in = padded;
	options.data_size_in = (__u32)(length < 60 ? 60 : length); /* as Ethernet pads */
	options.repeat = repeat;
	sandbox_require(bpf_prog_test_run_opts(tagger->program.fd, &options) == 0, "test run");
	sandbox_require((int32_t)options.retval == -1, "the packet is passed on");
	return options.duration;
}

static inline void run_send(const struct tagger *tagger, const struct run_flow *flow,
			    uint64_t offset, const void *data, size_t length, unsigned flags)
{
	uint8_t packet[4096];
	size_t size = run_packet(flow, offset, data, length, flags, packet);

	run_packet_repeated(tagger, packet, size, 1);
}

static inline void run_begin(const struct tagger *tagger, const struct run_flow *flow)
{
	run_send(tagger, flow, 0, NULL, 0, RUN_SYN);
}

/* A packet that was changed after it was made. */
static inline void run_changed(const struct tagger *tagger, const uint8_t *packet, size_t length)
{
	run_packet_repeated(tagger, packet, length, 1);
}

/* The number of the slot that the flow's connection takes first. */
static inline uint32_t run_slot(const struct run_flow *flow)
{
	uint64_t hash = lanetag_connection_hash(&flow->connection);

	return (uint32_t)(hash >> 8) & (LANETAG_FLOW_SLOTS - 1);
}

static inline void run_read_slot(const struct tagger *tagger, uint32_t slot,
				 struct lanetag_flow *ret_flow)
{
	sandbox_require(bpf_map_lookup_elem(program_map(&tagger->program, "lane_flows"), &slot,
					    ret_flow) == 0,
			"a flow's slot");
}

static inline void run_write_slot(const struct tagger *tagger, uint32_t slot,
				  const struct lanetag_flow *flow)
{
	sandbox_require(bpf_map_update_elem(program_map(&tagger->program, "lane_flows"), &slot,
					    flow, BPF_ANY) == 0,
			"a flow's slot");
}

/* One of enum lanetag_event, over all CPUs. */
static inline uint64_t run_event(const struct tagger *tagger, uint32_t event)
{
	uint64_t values[libbpf_num_possible_cpus()], sum = 0;

	sandbox_require(bpf_map_lookup_elem(program_map(&tagger->program, "lane_events"), &event,
					    values) == 0,
			"events");
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += values[i];
	return sum;
}
