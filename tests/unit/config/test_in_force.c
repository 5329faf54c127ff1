/* SPDX-License-Identifier: GPL-2.0-only */
#include "config/in_force.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int memory_of(struct span bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.length), bytes.length);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int read_memory(struct span bytes, int seals)
{
	struct in_force in_force = {0};
	int fd = memory_of(bytes, seals);
	int error = in_force_read(fd, &in_force);

	in_force_free(&in_force);
	close(fd);
	return error;
}

static void files_come_out_as_they_were_read(void **state)
{
	struct manifest_file files[] = {
		{"a.yaml", "kind: A\n", 8},
		{"12 3\nname\n", "with\0zero\n7 7\n", 14},
		{"empty.yaml", "", 0},
	};
	const struct manifest_set manifests = {.files = files, .file_count = 3};
	struct in_force in_force = {0};
	int fd;

	(void)state;
	assert_int_equal(in_force_write(&manifests, &fd), 0);
	assert_int_equal(in_force_read(fd, &in_force), 0);
	assert_int_equal(in_force.file_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(in_force.files[i].name, files[i].name);
		assert_int_equal(in_force.files[i].length, files[i].length);
		assert_memory_equal(in_force.files[i].text, files[i].text, files[i].length);
	}
	in_force_free(&in_force);
	close(fd);
}

static void no_files_are_no_files(void **state)
{
	(void)state;
	assert_int_equal(read_memory(span_of(""), SEALS), 0);
}

static void nonsense_is_refused(void **state)
{
	static const char *const rows[] = {
		"x",
		"\n",
		"1 1\na",
		"1 2\nab",
		"1 1\nab1",
		"1 1\nab\n",
		"-1 1\nab",
		"1  1\nab",
		"1 18446744073709551615\nab",
		"18446744073709551615 2\nab",
		"1 1 \nab",
		"11\nab",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(read_memory(span_of(rows[i]), SEALS), -EPROTO);
	assert_int_equal(read_memory(span_of("1 1\nab"), SEALS), 0);
}

static void memory_that_can_change_is_refused(void **state)
{
	const int missing[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(read_memory(span_of("1 1\nab"), SEALS & ~missing[i]), -EPROTO);
	int fd = open("/proc/self/exe", O_RDONLY);
	struct in_force in_force = {0};
	assert_int_equal(in_force_read(fd, &in_force), -EPROTO);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_out_as_they_were_read),
		cmocka_unit_test(no_files_are_no_files),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(memory_that_can_change_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
