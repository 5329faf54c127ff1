/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/address.h"

static void addresses_print_as_they_are_read(void **state)
{
	static const char *const texts[] = {
		"10.0.250.27", "0.0.0.0",      "::",	     "2001:db8::1",
		"::1",	       "255.100.99.9", "1.19.200.10"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[ADDRESS_TEXT_BYTES];
		uint8_t address[16];

		assert_int_equal(address_parse(texts[i], address), 0);
		address_print(address, text);
		assert_string_equal(text, texts[i]);
	}
}

static void every_octet_prints_as_its_number(void **state)
{
	(void)state;
	for (int octet = 0; octet < 256; octet++) {
		const uint8_t address[16] = {[10] = 0xff, 0xff, (uint8_t)octet,
					     0,		  9,	(uint8_t)octet};
		char text[ADDRESS_TEXT_BYTES], expected[ADDRESS_TEXT_BYTES];

		snprintf(expected, sizeof(expected), "%d.0.9.%d", octet, octet);
		assert_int_equal(address_print(address, text), strlen(expected));
		assert_string_equal(text, expected);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = {"",	   "1",	  "1.2.3",	"1.2.3.4.5", "1.2.3.256",
					    "a.b", "::g", "10.0.0.0/8", " 1.2.3.4",  "01.2.3.4"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t address[16];

		assert_int_equal(address_parse(texts[i], address), -1);
	}
}

static void both_families_have_an_address_for_any(void **state)
{
	static const struct {
		const char *text;
		int is_any;
	} rows[] = {{"0.0.0.0", 1}, {"::", 1}, {"::1", 0}, {"0.0.0.1", 0}, {"1::", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t address[16];

		address_parse(rows[i].text, address);
		assert_int_equal(address_is_any(address), rows[i].is_any);
	}
}

static void an_address_may_have_a_port(void **state)
{
	static const struct {
		const char *text, *address; /* NULL: refused */
		uint16_t port;
	} rows[] = {
		{"10.0.0.1:80", "10.0.0.1", 80},
		{"[2001:db8::1]:65535", "2001:db8::1", 65535},
		{"0.0.0.0:0", "0.0.0.0", 0},
		{"10.0.0.1", NULL, 0},
		{"10.0.0.1:", NULL, 0},
		{"10.0.0.1:65536", NULL, 0},
		{"[10.0.0.1]:80", NULL, 0},
		{"2001:db8::1:80", NULL, 0},
		{"[]:80", NULL, 0},
		{"host:80", NULL, 0},
		{":80", NULL, 0},
		{"", NULL, 0},
		{"[2001:db8::1]80", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t address[16], wanted[16];
		uint16_t port;
		int result = address_parse_with_port(rows[i].text, address, &port);

		assert_int_equal(result, rows[i].address ? 0 : -1);
		if (result)
			continue;
		assert_int_equal(address_parse(rows[i].address, wanted), 0);
		assert_memory_equal(address, wanted, sizeof(wanted));
		assert_int_equal(port, rows[i].port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_print_as_they_are_read),
		cmocka_unit_test(every_octet_prints_as_its_number),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(an_address_may_have_a_port),
		cmocka_unit_test(both_families_have_an_address_for_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
