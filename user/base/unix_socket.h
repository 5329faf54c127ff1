/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Unix stream sockets between an agent and its own kind: commands that change something, and the
 * next agent. Whoever connects must be root or the user the agent runs as (SO_PEERCRED). Everything
 * gives a negative errno on failure; descriptors are the caller's to close.
 */
#include <stdbool.h>
#include <stddef.h>

/* Neither side waits longer than this for the other, in seconds. */
#define UNIX_SOCKET_TIMEOUT_SECONDS 30

/*
 * Listens at `path` (mode 0600; its directory is made if absent) in place of what was there, in one
 * step; -EADDRINUSE if somebody still listens there. The descriptor does not block.
 */
int unix_socket_listen(const char *path);
/* A peer with the rights, blocking with a timeout; -EACCES: one without was turned away. */
int unix_socket_accept(int listener);
/* -ENOENT or -ECONNREFUSED: nobody listens there. */
int unix_socket_connect(const char *path);

/* Writes all of `text`. 0 or a negative errno. */
int unix_socket_write(int fd, const char *text);
/*
 * Reads up to a newline, which is left out, and not a byte more: descriptors may follow. 0, or
 * -ECONNRESET at the end, -EMSGSIZE if `size` bytes don't hold the line.
 */
int unix_socket_read_line(int fd, char *ret_line, size_t size);
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
