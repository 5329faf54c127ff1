/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/saved_syn.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define IPV4_HEADER_BYTES 20
#define IPV6_HEADER_BYTES 40
#define EXTENSION_BYTES 8
#define TCP_HEADER_BYTES 20
#define HEADERS_MAX 1024 /* options and extension headers included */

int saved_syn_request(int listener)
{
	const int one = 1;

	return setsockopt(listener, IPPROTO_TCP, TCP_SAVE_SYN, &one, sizeof(one)) < 0 ? -errno : 0;
}

/* RFC 791 3.1; the offset of what follows, or 0. */
static size_t skip_ipv4(const uint8_t *headers, size_t length)
{
	size_t header = (headers[0] & 15) * 4U;

	if (length < IPV4_HEADER_BYTES || header < IPV4_HEADER_BYTES || headers[9] != IPPROTO_TCP)
		return 0;
	return header;
}

/* RFC 8200 4: extension headers name what follows and their length. The offset of TCP's, or 0. */
static size_t skip_ipv6(const uint8_t *headers, size_t length)
{
	size_t at = IPV6_HEADER_BYTES;

	if (length < IPV6_HEADER_BYTES)
		return 0;
	uint8_t next = headers[6];
	while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS) {
		if (length - at < EXTENSION_BYTES)
			return 0;
		size_t extension = (headers[at + 1] + 1U) * EXTENSION_BYTES;

		next = headers[at];
		if (extension > length - at)
			return 0;
		at += extension;
	}
	return next == IPPROTO_TCP ? at : 0;
}

int saved_syn_parse(const uint8_t *headers, size_t length, uint32_t *ret_sequence)
{
	size_t at = 0;
	uint32_t sequence;

	if (length && headers[0] >> 4 == 4)
		at = skip_ipv4(headers, length);
	else if (length && headers[0] >> 4 == 6)
		at = skip_ipv6(headers, length);
	if (at == 0 || at > length || length - at < TCP_HEADER_BYTES)
		return -EBADMSG;
	memcpy(&sequence, headers + at + 4, sizeof(sequence));
	*ret_sequence = ntohl(sequence);
	return 0;
}

int saved_syn_sequence(int connection, uint32_t *ret_sequence)
{
	uint8_t headers[HEADERS_MAX];
	socklen_t length = sizeof(headers);

	if (getsockopt(connection, IPPROTO_TCP, TCP_SAVED_SYN, headers, &length) < 0)
		return -errno;
	return length ? saved_syn_parse(headers, length, ret_sequence) : -ENODATA;
}
