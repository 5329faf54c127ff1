/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/number.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

int address_parse(const char *text, uint8_t ret_address[16])
{
	struct in_addr ipv4;
	struct in6_addr ipv6;

	if (inet_pton(AF_INET, text, &ipv4) == 1) {
		memcpy(ret_address, mapped_prefix, sizeof(mapped_prefix));
		memcpy(ret_address + sizeof(mapped_prefix), &ipv4, sizeof(ipv4));
		return 0;
	}
	if (!strchr(text, ':') || inet_pton(AF_INET6, text, &ipv6) != 1)
		return -1;
	memcpy(ret_address, &ipv6, sizeof(ipv6));
	return 0;
}

int address_parse_with_port(const char *text, uint8_t ret_address[16], uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	char host[ADDRESS_TEXT_BYTES];
	uint64_t port;

	if (!colon || parse_unsigned(span_of(colon + 1), UINT16_MAX, &port))
		return -1;
	struct span name = {text, (size_t)(colon - text)};
	bool bracketed = name.length > 2 && name.data[0] == '[' && colon[-1] == ']';
	if (bracketed)
		name = (struct span){name.data + 1, name.length - 2};
	if (name.length >= sizeof(host))
		return -1;
	memcpy(host, name.data, name.length);
	host[name.length] = '\0';
	if (bracketed != (strchr(host, ':') != NULL) || address_parse(host, ret_address))
		return -1;
	*ret_port = (uint16_t)port;
	return 0;
}

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

static char *print_octet(unsigned octet, char *text)
{
	if (octet < 10) {
		*text = (char)('0' + octet);
		return text + 1;
	}
	if (octet >= 100) {
		*text++ = (char)('0' + octet / 100);
		octet %= 100;
	}
	memcpy(text, pairs + 2 * (size_t)octet, 2);
	return text + 2;
}

/* inet_ntop(3) goes through sprintf(3), and this stands on the way of every request. */
static size_t print_ipv4(const uint8_t octets[4], char *text)
{
	char *at = print_octet(octets[0], text);

	for (size_t i = 1; i < 4; i++) {
		*at++ = '.';
		at = print_octet(octets[i], at);
	}
	*at = '\0';
	return (size_t)(at - text);
}

size_t address_print(const uint8_t address[16], char ret_text[ADDRESS_TEXT_BYTES])
{
	if (address_is_ipv4(address))
		return print_ipv4(address + sizeof(mapped_prefix), ret_text);
	inet_ntop(AF_INET6, address, ret_text, ADDRESS_TEXT_BYTES);
	return strlen(ret_text);
}

bool address_is_ipv4(const uint8_t address[16])
{
	return memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool address_is_any(const uint8_t address[16])
{
	static const uint8_t zero[16];

	return memcmp(address, zero, 12) == 0 ? memcmp(address + 12, zero, 4) == 0
					      : memcmp(address, mapped_prefix, 12) == 0 &&
							memcmp(address + 12, zero, 4) == 0;
}

unsigned socket_address(const uint8_t address[16], uint16_t port, void *ret_address)
{
	if (address_is_ipv4(address)) {
		struct sockaddr_in *ipv4 = ret_address;

		*ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&ipv4->sin_addr, address + 12, 4);
		return sizeof(*ipv4);
	}
	struct sockaddr_in6 *ipv6 = ret_address;

	*ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	memcpy(&ipv6->sin6_addr, address, 16);
	return sizeof(*ipv6);
}
