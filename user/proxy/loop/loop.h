/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What one thread's edge-triggered epoll loop keeps: the time, its timers, and what has to wait for
 * the end of a turn. Who waits for what is the loop's driver's to know (proxy/thread.c).
 */
#include "proxy/loop/connection.h"
#include "proxy/loop/timer.h"

struct loop {
	int epoll_fd;
	uint64_t now_ms;
	struct timer_wheel timers;
	struct connection *closed;  /* their memory goes after the batch of events */
	struct connection *again;   /* had more than a fair share to do */
	struct connection *running; /* those of `again` whose turn is now */
};

/* 64-bit milliseconds of CLOCK_MONOTONIC. */
uint64_t loop_clock_ms(void);
/* The time and the timers; no descriptor yet. */
void loop_start(struct loop *loop);

/* Closes the socket now; the object's memory goes after this batch of events. */
void loop_close(struct loop *loop, struct connection *connection);
/* The same where the socket is closed already, or was none. */
void loop_free_later(struct loop *loop, struct connection *connection);
/* At the end of a turn. */
void loop_free_closed(struct loop *loop);

/* To be driven again after the present events, since it has used its share up. */
void loop_run_again(struct loop *loop, struct connection *connection);
void loop_forget_again(struct loop *loop, struct connection *connection);
/* Those that asked so far get their turn now; what asks from here on, the next. */
void loop_start_again(struct loop *loop);
/* The next one whose turn is now, or NULL. */
struct connection *loop_next_again(struct loop *loop);
