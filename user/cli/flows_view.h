/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Which of the kernel's connections `lanetag flows` shows, and how. */
#include "base/span.h"
#include "kernel/flows.h"

struct tag_filter {
	struct span header, value; /* an empty value: decided, and no tag */
};

struct flows_filter {
	bool all; /* also connections that no socket of this machine ends */
	bool has_client;
	uint8_t client[16];
	uint16_t port;	       /* of the server; 0: any */
	enum flow_state state; /* FLOW_STATES: any */
	const struct tag_filter *tags;
	size_t tag_count; /* all must hold */
	uint64_t most;	  /* connections that are shown */
};

/* "idle", "head", "body" or "lost"; FLOW_STATES where `text` is none. */
enum flow_state flows_parse_state(const char *text);

/* Keeps what the filter holds at the begin of the list; gives how many. */
size_t flows_select(const struct flows *flows, const struct flows_filter *filter, struct flow *list,
		    size_t count);

/* So many of the list end nowhere on this machine. */
size_t flows_without_socket(const struct flow *list, size_t count);

struct flows_report {
	const struct flows *flows;
	const struct flow *list; /* what is shown */
	size_t shown;
	size_t matching;       /* the filter; more than are shown where it says so */
	size_t total;	       /* that the kernel follows */
	size_t without_socket; /* of them */
};

void flows_print(const struct flows_report *report);
/* 0, or -1 (told): memory is short, or standard output does not take it. */
int flows_print_json(const struct flows_report *report);
