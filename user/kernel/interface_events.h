/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * News of the network namespace: interfaces that come, go or are renamed, and filters that somebody
 * changes. Only that something happened is of interest, what it was is found by looking: so a lost
 * event (overflow) is no loss.
 */
#include <stdbool.h>

/* A file descriptor that is readable when there is news, or a negative errno. */
int interface_events_open(void);
/* Takes all the news there is; true if there was any. */
bool interface_events_drain(int events);
