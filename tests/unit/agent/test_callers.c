/* SPDX-License-Identifier: GPL-2.0-only */
#include "agent/callers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000ULL

static char command[CALLERS_LINE_BYTES];
static int connection;

/* The other end of a connection that is waited for. */
static int call(struct callers *callers, uint64_t now_ns)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	callers_add(callers, pair[0], now_ns);
	return pair[1];
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void a_command_is_heard_once_it_is_whole(void **state)
{
	struct callers callers = {0};
	int fd = call(&callers, 1);

	(void)state;
	assert_int_equal(callers_hear(&callers, 0, command, &connection), -EAGAIN);
	say(fd, "rel");
	assert_int_equal(callers_hear(&callers, 0, command, &connection), -EAGAIN);
	say(fd, "oad\nmore");
	assert_int_equal(callers_hear(&callers, 0, command, &connection), 0);
	assert_string_equal(command, "reload");
	assert_int_equal(read(connection, command, sizeof(command)), 4);
	assert_null(callers.items[0]);
	close(connection);
	close(fd);
}

static void a_line_without_an_end_is_given_up(void **state)
{
	struct callers callers = {0};
	int fd = call(&callers, 1);
	char noise[CALLERS_LINE_BYTES];

	(void)state;
	memset(noise, 'x', sizeof(noise));
	assert_int_equal(write(fd, noise, sizeof(noise)), sizeof(noise));
	assert_int_equal(callers_hear(&callers, 0, command, &connection), -EMSGSIZE);
	assert_null(callers.items[0]);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1); /* closed */
	close(fd);
}

static void who_is_late_is_ended(void **state)
{
	struct callers callers = {0};
	int first = call(&callers, 1 * MS), second = call(&callers, 100 * MS);
	char byte;

	(void)state;
	assert_int_equal(callers_end_late(&callers, CALLERS_TIMEOUT_MS * MS), 0);
	assert_int_equal(callers_end_late(&callers, (CALLERS_TIMEOUT_MS + 1) * MS), 1);
	assert_int_equal(read(first, &byte, 1), 0);
	assert_int_equal(recv(second, &byte, 1, MSG_DONTWAIT), -1);
	callers_close(&callers);
	assert_int_equal(read(second, &byte, 1), 0);
	close(first);
	close(second);
}

static void many_silent_ones_keep_nobody_out(void **state)
{
	struct callers callers = {0};
	struct pollfd fds[CALLERS_MAX];
	int others[1000], before = dup(0);

	(void)state;
	close(before);
	for (size_t i = 0; i < 1000; i++)
		others[i] = call(&callers, i);
	int fd = call(&callers, 1000);
	say(fd, "reload\n");
	callers_poll(&callers, fds);
	assert_int_equal(poll(fds, CALLERS_MAX, 0), 1);
	size_t place = 0;
	while (!fds[place].revents)
		place++;
	assert_int_equal(callers_hear(&callers, place, command, &connection), 0);
	assert_string_equal(command, "reload");
	close(connection);
	close(fd);
	callers_close(&callers);
	for (size_t i = 0; i < 1000; i++)
		close(others[i]);
	assert_int_equal(dup(0), before); /* nothing is left open */
	close(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_is_heard_once_it_is_whole),
		cmocka_unit_test(a_line_without_an_end_is_given_up),
		cmocka_unit_test(who_is_late_is_ended),
		cmocka_unit_test(many_silent_ones_keep_nobody_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
