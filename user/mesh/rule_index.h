/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Which of a VirtualService's many rules a request can take at all. Rules whose matches ask for an
 * exact header, an exact path or a prefix of the path are found by hash; the others are always
 * candidates. Candidates are given in the rules' order, so that the first that holds is the first.
 */
#include "mesh/model.h"

struct compiler;

#define RULE_INDEX_MINIMUM 16 /* fewer rules are faster tried one after the other */
#define RULE_INDEX_MAX_PROBES 32

enum rule_probe_kind { RULE_PROBE_HEADER, RULE_PROBE_PATH, RULE_PROBE_PREFIX };

/* One look-up that a request costs. */
struct rule_probe {
	enum rule_probe_kind kind;
	const struct header_match *header; /* of RULE_PROBE_HEADER */
	size_t length;			   /* of RULE_PROBE_PREFIX */
	uint64_t scope;			   /* of mesh->rules_by_text */
};

struct rule_list {
	uint32_t *rules; /* ascending */
	size_t count;
};

struct rule_index {
	struct rule_probe probes[RULE_INDEX_MAX_PROBES];
	size_t probe_count;
	struct rule_list always;
};

/* Sets service->index where there are enough rules. */
void compile_rule_index(struct compiler *compiler, struct compiled_service *service);

struct rule_cursor {
	struct rule_list lists[RULE_INDEX_MAX_PROBES + 1];
	size_t list_count;
};

void rule_cursor_start(struct rule_cursor *cursor, const struct mesh *mesh,
		       const struct rule_index *index, struct match_request *request);
/* The next candidate, or SIZE_MAX. */
size_t rule_cursor_next(struct rule_cursor *cursor);
