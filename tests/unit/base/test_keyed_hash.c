/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/keyed_hash.h"

/* The SipHash paper's own vectors: key 00 01 … 0f, messages 00 01 …, of 0, 1, 8 and 15 bytes. */
static void hashes_are_siphash_2_4(void **state)
{
	static const struct {
		size_t length;
		uint64_t hash;
	} rows[] = {{0, 0x726fdb47dd0e0e31},
		    {1, 0x74f839c593dc67fd},
		    {8, 0x93f5f5799a932462},
		    {15, 0xa129ca6149be45e5}};
	struct keyed_hash_key key;
	char message[15];

	(void)state;
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (char)i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(keyed_hash(&key, (struct span){message, rows[i].length}),
				 rows[i].hash);
}

static void made_keys_differ(void **state)
{
	struct keyed_hash_key one = {0}, other = {0}, zero = {0};

	(void)state;
	assert_int_equal(keyed_hash_make_key(&one), 0);
	assert_int_equal(keyed_hash_make_key(&other), 0);
	assert_memory_not_equal(&one, &other, sizeof(one));
	assert_memory_not_equal(&one, &zero, sizeof(one));
}

static void each_byte_of_a_file_counts(void **state)
{
	char path[] = "/tmp/lanetag-key-XXXXXX", bytes[32];
	struct keyed_hash_key first, key;
	const char *why;
	int fd = mkstemp(path);

	(void)state;
	memset(bytes, 'k', sizeof(bytes));
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(keyed_hash_read_key(path, &first, &why), 0);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(pwrite(fd, "K", 1, (off_t)i), 1);
		assert_int_equal(keyed_hash_read_key(path, &key, &why), 0);
		assert_memory_not_equal(&first, &key, sizeof(key));
		assert_int_equal(pwrite(fd, "k", 1, (off_t)i), 1);
	}
	assert_int_equal(keyed_hash_read_key(path, &key, &why), 0);
	assert_memory_equal(&first, &key, sizeof(key));
	assert_int_equal(ftruncate(fd, KEYED_HASH_FILE_MINIMUM - 1), 0);
	assert_int_equal(keyed_hash_read_key(path, &key, &why), -1);
	assert_string_equal(why, "has fewer than 16 bytes");
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_siphash_2_4),
		cmocka_unit_test(made_keys_differ),
		cmocka_unit_test(each_byte_of_a_file_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
