/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* IP addresses as 16 bytes in network order; IPv4 as IPv4-mapped IPv6 (RFC 4291 2.5.5.2). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_BYTES 46 /* with the NUL */

/* 10.0.0.1 or 2001:db8::1. 0, or -1 if `text` is neither. */
int address_parse(const char *text, uint8_t ret_address[16]);
/* 10.0.0.1:80 or [2001:db8::1]:80. 0, or -1 if `text` is neither. */
int address_parse_with_port(const char *text, uint8_t ret_address[16], uint16_t *ret_port);
/* As address_parse reads it: a mapped IPv4 address with dots alone. Gives the length. */
size_t address_print(const uint8_t address[16], char ret_text[ADDRESS_TEXT_BYTES]);
bool address_is_ipv4(const uint8_t address[16]);
bool address_is_any(const uint8_t address[16]); /* ::, 0.0.0.0 */
/* Fills a sockaddr_in or sockaddr_in6 of a sockaddr_storage; gives its length. */
unsigned socket_address(const uint8_t address[16], uint16_t port, void *ret_address);
