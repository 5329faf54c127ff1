/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/flow_decoding.h"

#include <string.h>
#include "kernel/tagger_internal.h"

static bool may_be_in(uint32_t slot, uint64_t hash)
{
	for (uint32_t probe = 0; probe < LANETAG_FLOW_PROBES; probe++) {
		if (lanetag_flow_slot(hash, probe, LANETAG_FLOW_SLOTS) == slot)
			return true;
	}
	return false;
}

static enum flow_state state_of(const struct lanetag_flow *entry)
{
	switch (entry->state) {
	case LANETAG_FLOW_UNSYNCHRONISED:
		return FLOW_LOST;
	case LANETAG_FLOW_REQUEST_START:
		return FLOW_IDLE;
	case LANETAG_FLOW_CHUNK_SIZE:
	case LANETAG_FLOW_BODY:
		return FLOW_BODY;
	default:
		return entry->in_trailers ? FLOW_BODY : FLOW_HEAD;
	}
}

/*
 * A mark of an earlier connection with the same ends may stand where this one has none: a request
 * under way has none yet, and no other generation's is this request's.
 */
static bool find_mark(const struct lanetag_flow *entry, enum flow_state state,
		      const struct lanetag_mark *marks, struct lanetag_mark *ret_mark)
{
	return entry->heads > 0 && state != FLOW_HEAD &&
	       marks_find(marks, &entry->connection, entry->position, ret_mark) &&
	       ret_mark->generation == entry->generation &&
	       ret_mark->rule_count <= LANETAG_MAX_RULES;
}

bool flow_decode(const struct lanetag_flow *entry, uint32_t slot, const struct lanetag_mark *marks,
		 uint64_t now_ns, struct flow *ret_flow)
{
	struct flow flow = {.connection = entry->connection};

	if (entry->state == LANETAG_FLOW_FREE || entry->state > LANETAG_FLOW_BODY ||
	    !may_be_in(slot, lanetag_connection_hash(&entry->connection)))
		return false;
	flow.state = state_of(entry);
	if (flow.state == FLOW_LOST)
		flow.lost_by = tagger_event_name(entry->lost_by);
	flow.requests = entry->heads;
	flow.received = entry->offset;
	flow.has_age = entry->began_ns > 0 && entry->began_ns <= now_ns;
	flow.age_ns = flow.has_age ? now_ns - entry->began_ns : 0;
	flow.has_mark = find_mark(entry, flow.state, marks, &flow.mark);
	*ret_flow = flow;
	return true;
}

static void copy_text(char ret_text[LANETAG_MAX_NAME + 1], const char text[LANETAG_MAX_NAME + 1])
{
	size_t length = strnlen(text, LANETAG_MAX_NAME);

	memcpy(ret_text, text, length);
	ret_text[length] = '\0';
}

/* NULL: nothing is known of it, or in this generation the number stood for another lane. */
static const struct lanetag_lane_name *lane_name(const struct lane_tables *tables, uint32_t lane,
						 uint32_t generation)
{
	if (lane >= LANETAG_MAX_LANES || tables->names[lane].since == 0 ||
	    tables->names[lane].since > generation)
		return NULL;
	return &tables->names[lane];
}

static void name_tag(const struct lane_tables *tables, const struct lanetag_mark *mark, size_t rule,
		     struct flow_tag *tag)
{
	const struct lanetag_generation *lanes =
		&tables->generations[lanetag_generation_slot(mark->generation)];
	const struct lanetag_lane_name *name;
	uint32_t lane;

	if (lanes->generation != mark->generation || rule >= lanes->rule_count ||
	    rule >= LANETAG_MAX_RULES)
		return;
	lane = tag->outcome == FLOW_TAG ? lanes->lane[rule][mark->policy[rule]]
					: lanes->untagged_lane[rule];
	name = lane_name(tables, lane, mark->generation);
	if (name == NULL)
		return;
	copy_text(tag->tag_header, name->tag_header);
	if (tag->outcome == FLOW_TAG)
		copy_text(tag->tag_value, name->tag_value);
}

void flow_decode_tag(const struct lane_tables *tables, const struct lanetag_mark *mark, size_t rule,
		     struct flow_tag *ret_tag)
{
	struct flow_tag tag = {.outcome = FLOW_UNKNOWN};

	if (rule < LANETAG_MAX_RULES) {
		if (mark->policy[rule] < LANETAG_MAX_POLICIES)
			tag.outcome = FLOW_TAG;
		else if (mark->policy[rule] == LANETAG_POLICY_NONE)
			tag.outcome = FLOW_NO_TAG;
		tag.has_remainder = mark->remainder[rule] != LANETAG_NO_REMAINDER;
		tag.remainder = tag.has_remainder ? mark->remainder[rule] : 0;
		name_tag(tables, mark, rule, &tag);
	}
	*ret_tag = tag;
}
