/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/unix_socket.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define BACKLOG 128
#define LONGEST_MS (3600 * 1000)

static int fill_address(const char *path, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret_address->sun_path, path, strlen(path));
	return 0;
}

/* The directory that holds `path`, if it is not there; only the last step of it. */
static int make_directory(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return 0;
	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
	return mkdir(directory, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/*
 * Bound under a name of its own, then renamed: nobody finds a socket that doesn't listen or that
 * others may open.
 */
static int bind_and_rename(int fd, const char *path)
{
	struct sockaddr_un address;
	char own_path[PATH_MAX];

	snprintf(own_path, sizeof(own_path), "%s.%d", path, (int)getpid());
	int error = fill_address(own_path, &address);
	if (error)
		return error;
	unlink(own_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	if (chmod(own_path, 0600) || listen(fd, BACKLOG) || rename(own_path, path)) {
		error = -errno;
		unlink(own_path);
	}
	return error;
}

bool unix_socket_is_served(const char *path, pid_t *ret_pid)
{
	struct ucred peer = {0};
	socklen_t length = sizeof(peer);
	int fd = unix_socket_connect(path);

	*ret_pid = 0;
	if (fd < 0)
		return fd != -ENOENT && fd != -ECONNREFUSED;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
		*ret_pid = peer.pid;
	close(fd);
	return true;
}

int unix_socket_listen(const char *path)
{
	pid_t holder;
	int error = make_directory(path);

	if (error)
		return error;
	if (unix_socket_is_served(path, &holder))
		return -EADDRINUSE;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = bind_and_rename(fd, path);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

static void set_timeouts(int fd, unsigned timeout_ms)
{
	const struct timeval timeout = {.tv_sec = timeout_ms / 1000,
					.tv_usec = timeout_ms % 1000 * 1000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

/* True if root or our own user is at the other end. */
static bool peer_may(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

int unix_socket_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!peer_may(fd)) {
		close(fd);
		return -EACCES;
	}
	set_timeouts(fd, UNIX_SOCKET_SERVER_TIMEOUT_MS);
	return fd;
}

int unix_socket_connect(const char *path)
{
	struct sockaddr_un address;
	int error = fill_address(path, &address);

	if (error)
		return error;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	set_timeouts(fd, UNIX_SOCKET_TIMEOUT_SECONDS * 1000);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		error = -errno;
	else if (!peer_may(fd))
		error = -EACCES;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

int unix_socket_write(int fd, const char *text)
{
	size_t length = strlen(text);

	while (length) {
		ssize_t count = send(fd, text, length, MSG_NOSIGNAL);

		if (count < 0)
			return -errno;
		text += count;
		length -= (size_t)count;
	}
	return 0;
}

/* One more byte of a line: 0 at its end, -EINPROGRESS within. */
static int read_byte(int fd, int flags, char *line, size_t *length)
{
	ssize_t count = recv(fd, line + *length, 1, flags);

	if (count < 0)
		return -errno;
	if (count == 0)
		return -ECONNRESET;
	if (line[*length] == '\n') {
		line[*length] = '\0';
		return 0;
	}
	++*length;
	return -EINPROGRESS;
}

int unix_socket_read_on(int fd, char *line, size_t size, size_t *length)
{
	int error = -EINPROGRESS;

	while (error == -EINPROGRESS && *length < size)
		error = read_byte(fd, MSG_DONTWAIT, line, length);
	return error == -EINPROGRESS ? -EMSGSIZE : error;
}

int unix_socket_limit(int fd, uint64_t due_ns)
{
	uint64_t now = clock_now_ns();

	if (now >= due_ns)
		return -ETIMEDOUT;
	uint64_t left_ms = (due_ns - now) / 1000000 + 1;
	set_timeouts(fd, left_ms < LONGEST_MS ? (unsigned)left_ms : LONGEST_MS);
	return 0;
}

int unix_socket_read_line_by(int fd, char *ret_line, size_t size, uint64_t due_ns)
{
	int error = -EINPROGRESS;

	/* A byte now and then is no line either. */
	for (size_t length = 0; error == -EINPROGRESS && length < size;) {
		error = unix_socket_limit(fd, due_ns);
		if (error)
			return error;
		error = read_byte(fd, 0, ret_line, &length);
	}
	if (error == -EAGAIN)
		return -ETIMEDOUT;
	return error == -EINPROGRESS ? -EMSGSIZE : error;
}

int unix_socket_read_line(int fd, char *ret_line, size_t size)
{
	return unix_socket_read_line_by(fd, ret_line, size,
					clock_now_ns() +
						UNIX_SOCKET_TIMEOUT_SECONDS * UINT64_C(1000000000));
}

union control {
	struct cmsghdr header; /* for its alignment */
	char memory[CMSG_SPACE(UNIX_SOCKET_MAX_DESCRIPTORS * sizeof(int))];
};

int unix_socket_send_descriptors(int fd, const void *bytes, size_t length, const int *descriptors,
				 size_t count)
{
	struct iovec piece = {(void *)bytes, length};
	union control control = {0};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	if (count > UNIX_SOCKET_MAX_DESCRIPTORS)
		return -E2BIG;
	if (count) {
		message.msg_control = control.memory;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
	}
	ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	if (sent < 0)
		return -errno;
	return sent == (ssize_t)length ? 0 : -EPROTO;
}

static void take_descriptors(struct msghdr *message,
			     int ret_descriptors[UNIX_SOCKET_MAX_DESCRIPTORS], size_t *ret_count)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		/* All of a message fit: its room for them is no larger. */
		memcpy(ret_descriptors + *ret_count, CMSG_DATA(header), count * sizeof(int));
		*ret_count += count;
	}
}

int unix_socket_receive_descriptors(int fd, void *ret_bytes, size_t length,
				    int ret_descriptors[UNIX_SOCKET_MAX_DESCRIPTORS],
				    size_t *ret_count)
{
	struct iovec piece = {ret_bytes, length};
	union control control;
	struct msghdr message = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control.memory,
		.msg_controllen = sizeof(control.memory),
	};

	*ret_count = 0;
	ssize_t received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	if (received < 0)
		return -errno;
	take_descriptors(&message, ret_descriptors, ret_count);
	return received == (ssize_t)length && !(message.msg_flags & MSG_CTRUNC) ? 0 : -EPROTO;
}
