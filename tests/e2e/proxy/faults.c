/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * LD_PRELOAD: system calls that fail while a file says so. $FAULTS names the file; its text is lines
 * "CALL ERRNO", such as "accept4 12". Calls that failed are counted in $FAULTS.count, a byte each.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void count(const char *path, const char *call)
{
	char name[512];

	snprintf(name, sizeof(name), "%s.%s", path, call);
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd >= 0) {
		if (write(fd, ".", 1) < 0)
			abort();
		close(fd);
	}
}

/* The errno that this call shall fail with; 0: none. */
static int fault(const char *call)
{
	const char *path = getenv("FAULTS");
	char text[512], name[32];
	int number, found = 0, fd = path ? open(path, O_RDONLY) : -1;

	if (fd < 0)
		return 0;
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (sscanf(line, "%31s %d", name, &number) == 2 && strcmp(name, call) == 0)
			found = number;
	}
	if (found)
		count(path, call);
	return found;
}

#define FAIL_IF_ASKED(call)              \
	do {                             \
		int error = fault(call); \
		if (error) {             \
			errno = error;   \
			return -1;       \
		}                        \
	} while (0)

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	FAIL_IF_ASKED("accept4");
	return (int)syscall(SYS_accept4, fd, address, length, flags);
}

ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length,
	       unsigned flags)
{
	int type;
	socklen_t size = sizeof(type);

	/* From a socket into a pipe, or from a pipe to a socket. */
	FAIL_IF_ASKED(getsockopt(in, SOL_SOCKET, SO_TYPE, &type, &size) ? "splice-out"
									: "splice-in");
	return syscall(SYS_splice, in, in_offset, out, out_offset, length, flags);
}

int pipe2(int fds[2], int flags)
{
	FAIL_IF_ASKED("pipe2");
	return (int)syscall(SYS_pipe2, fds, flags);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	if (address->sa_family != AF_UNIX)
		FAIL_IF_ASKED("connect");
	return (int)syscall(SYS_connect, fd, address, length);
}
