/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How far long work is, on one line of a terminal that is written over and at last wiped. Nothing
 * in the first second, and nothing at all where standard error is no terminal.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_QUIET_NS UINT64_C(1000000000)
#define PROGRESS_INTERVAL_NS UINT64_C(500000000)
#define PROGRESS_UNKNOWN UINT64_MAX

struct progress {
	const char *command;
	FILE *stream; /* NULL: nothing is shown */
	uint64_t started_ns, due_ns;
	int width; /* of the line that stands there; 0: none */
};

/* Standard error, or NULL if that is no terminal. */
FILE *progress_terminal(void);

void progress_start(struct progress *progress, const char *command, FILE *stream, uint64_t now_ns);

/*
 * Shows, where it is time, that `ids` are done, and `done` of `total`: what these count is the
 * caller's affair. `total` may be PROGRESS_UNKNOWN.
 */
void progress_update(struct progress *progress, uint64_t now_ns, uint64_t ids, uint64_t done,
		     uint64_t total);

/* Wipes the line: before anything else is printed, and at the end. */
void progress_wipe(struct progress *progress);
