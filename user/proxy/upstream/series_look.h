/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The gauges among the series (proxy/record/series.h): a worker looks through its endpoints once a
 * second while it has something to do.
 */
struct lease;
struct upstreams;

/* Rows that have a new owner begin at 0; what the former one still has under way counts in row 0.
 */
void series_look_adopt(struct upstreams *upstreams, struct lease *previous);
/* At the end of each round of the loop: looks at the endpoints if it is time. */
void series_look_on(struct upstreams *upstreams);
/* Milliseconds until that has to be called again, or -1. */
int series_look_sleep(const struct upstreams *upstreams);
