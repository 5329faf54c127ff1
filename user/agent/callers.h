/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Connections to the control socket whose command has not come in full. The thread that steers
 * waits for them beside all else: one that says nothing, or a byte now and then, holds up nobody.
 */
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#define CALLERS_MAX 32
#define CALLERS_TIMEOUT_MS 5000 /* a command is written at once */
#define CALLERS_LINE_BYTES (PATH_MAX + 64)

struct caller;
struct callers {
	struct caller *items[CALLERS_MAX]; /* NULL: free */
};

/* Takes the connection over. Where all places are taken the one that waits longest goes. */
void callers_add(struct callers *callers, int connection, uint64_t now_ns);

/* What to wait for. */
void callers_poll(const struct callers *callers, struct pollfd ret_fds[CALLERS_MAX]);

/*
 * Reads on. 0: here is the command, and the connection is the caller's again; -EAGAIN: the rest is
 * to come. After any other error, -ECONNRESET at the end of what was sent, it is closed.
 */
int callers_hear(struct callers *callers, size_t place, char ret_command[CALLERS_LINE_BYTES],
		 int *ret_connection);

/* Closes those that are late; how many. */
size_t callers_end_late(struct callers *callers, uint64_t now_ns);
void callers_close(struct callers *callers);
