/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Unix stream sockets between an agent and its own kind: commands that change something, and the
 * next agent. Whoever connects must be root or the user the agent runs as (SO_PEERCRED). Everything
 * gives a negative errno on failure; descriptors are the caller's to close.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who connects waits this long for each answer. */
#define UNIX_SOCKET_TIMEOUT_SECONDS 30
/* Who is connected to has other things to do: so long for all that it says and hears at once. */
#define UNIX_SOCKET_SERVER_TIMEOUT_MS 2000

/*
 * Listens at `path` (mode 0600; its directory is made if absent) in place of what was there, in one
 * step; -EADDRINUSE if somebody still listens there. The descriptor does not block.
 */
int unix_socket_listen(const char *path);
/* True if somebody listens at `path`; *ret_pid: who, 0 if it cannot be seen from here. */
bool unix_socket_is_served(const char *path, pid_t *ret_pid);
/* A peer with the rights, blocking with a timeout; -EACCES: one without was turned away. */
int unix_socket_accept(int listener);
/* -ENOENT or -ECONNREFUSED: nobody listens there. */
int unix_socket_connect(const char *path);

/*
 * What is said and heard next takes until `due_ns` (CLOCK_MONOTONIC) at most. 0, or -ETIMEDOUT if
 * that is past.
 */
int unix_socket_limit(int fd, uint64_t due_ns);

/* Writes all of `text`. 0 or a negative errno. */
int unix_socket_write(int fd, const char *text);
/*
 * Reads up to a newline, which is left out, and not a byte more: descriptors may follow. 0, or
 * -ECONNRESET at the end, -EMSGSIZE if `size` bytes don't hold the line.
 */
int unix_socket_read_line(int fd, char *ret_line, size_t size);
/* The same until `due_ns`: -ETIMEDOUT. */
int unix_socket_read_line_by(int fd, char *ret_line, size_t size, uint64_t due_ns);
/*
 * The same of what is there, without waiting; -EAGAIN: the rest is to come. *length, at first 0,
 * says how much of the line stands there.
 */
int unix_socket_read_on(int fd, char *line, size_t size, size_t *length);

#define UNIX_SOCKET_MAX_DESCRIPTORS 64 /* of one message; the kernel takes at most 253 */

/*
 * One message with descriptors (SCM_RIGHTS), of `count` from 0 to the maximum; the sender keeps its
 * own. `length` > 0.
 */
int unix_socket_send_descriptors(int fd, const void *bytes, size_t length, const int *descriptors,
				 size_t count);
/*
 * Receives such a message of exactly `length` bytes; -EPROTO for any other. The descriptors that
 * came are the caller's, after an error too: *ret_count says how many stand in ret_descriptors.
 */
int unix_socket_receive_descriptors(int fd, void *ret_bytes, size_t length,
				    int ret_descriptors[UNIX_SOCKET_MAX_DESCRIPTORS],
				    size_t *ret_count);
