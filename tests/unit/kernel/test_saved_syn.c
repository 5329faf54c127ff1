/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/saved_syn.h"

#define SEQUENCE 0x01020304U

/* TCP's header of 20 bytes behind `before`; the length of all. */
static size_t put_tcp(uint8_t *headers, size_t before)
{
	memset(headers + before, 0, 20);
	memcpy(headers + before + 4, "\x01\x02\x03\x04", 4);
	return before + 20;
}

static size_t make_ipv4(uint8_t *headers, size_t words)
{
	memset(headers, 0xff, words * 4);
	headers[0] = (uint8_t)(0x40 | words);
	headers[9] = IPPROTO_TCP;
	return put_tcp(headers, words * 4);
}

static size_t make_ipv6(uint8_t *headers)
{
	memset(headers, 0, 40);
	headers[0] = 0x60;
	headers[6] = IPPROTO_HOPOPTS;
	headers[40] = IPPROTO_DSTOPTS;
	headers[41] = 1; /* 16 bytes */
	headers[56] = IPPROTO_TCP;
	headers[57] = 0;
	return put_tcp(headers, 64);
}

/* Cut anywhere it is refused, and nothing behind the cut is read: the copy is no longer. */
static void expect_whole_only(const uint8_t *headers, size_t length)
{
	uint32_t sequence = 0;

	assert_int_equal(saved_syn_parse(headers, length, &sequence), 0);
	assert_int_equal(sequence, SEQUENCE);
	for (size_t cut = 0; cut < length; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, headers, cut);
		assert_int_equal(saved_syn_parse(copy, cut, &sequence), -EBADMSG);
		free(copy);
	}
}

static void the_number_is_found_behind_options_and_extensions(void **state)
{
	uint8_t headers[256];

	(void)state;
	expect_whole_only(headers, make_ipv4(headers, 5));
	expect_whole_only(headers, make_ipv4(headers, 15));
	expect_whole_only(headers, make_ipv6(headers));
}

static void other_packets_are_refused(void **state)
{
	uint8_t headers[256];
	uint32_t sequence;
	size_t length = make_ipv4(headers, 5);

	(void)state;
	headers[9] = IPPROTO_UDP;
	assert_int_equal(saved_syn_parse(headers, length, &sequence), -EBADMSG);
	make_ipv4(headers, 5);
	headers[0] = 0x44;
	assert_int_equal(saved_syn_parse(headers, length, &sequence), -EBADMSG);
	headers[0] = 0x55;
	assert_int_equal(saved_syn_parse(headers, length, &sequence), -EBADMSG);
	length = make_ipv6(headers);
	headers[56] = IPPROTO_FRAGMENT;
	assert_int_equal(saved_syn_parse(headers, length, &sequence), -EBADMSG);
	headers[41] = 255;
	assert_int_equal(saved_syn_parse(headers, length, &sequence), -EBADMSG);
}

static void a_connection_gives_its_own_once(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	uint32_t sequence;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(saved_syn_request(listener), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
	int accepted = accept(listener, NULL, NULL);
	assert_int_equal(saved_syn_sequence(accepted, &sequence), 0);
	assert_int_equal(saved_syn_sequence(accepted, &sequence), -ENODATA);
	assert_true(saved_syn_sequence(-1, &sequence) < 0);
	assert_true(saved_syn_request(-1) < 0);
	close(accepted);
	close(client);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_number_is_found_behind_options_and_extensions),
		cmocka_unit_test(other_packets_are_refused),
		cmocka_unit_test(a_connection_gives_its_own_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
