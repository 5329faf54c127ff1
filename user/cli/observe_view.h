/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* How `lanetag observe` shows what it counted. */
#include <stdio.h>
#include "kernel/tagger.h"
#include "policy/tag_rules.h"

#define OBSERVE_MAX_EVENTS 64

struct observe_sample {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t requests[LANETAG_MAX_LANES];
	uint64_t events[OBSERVE_MAX_EVENTS];
};

struct observe_report {
	const struct tag_rules *rules;
	const struct tagger *tagger;
	const struct observe_sample *start;
	const struct observe_sample *previous; /* rates are since then */
	const struct observe_sample *now;
};

enum observe_format {
	OBSERVE_LINES,	/* a line per lane */
	OBSERVE_SCREEN, /* a table that replaces the one before */
	OBSERVE_JSON,	/* an object, one line */
};

/* 0, or a negative errno if the stream does not take it (a closed pipe). */
int observe_show(const struct observe_report *report, enum observe_format format, FILE *stream);
