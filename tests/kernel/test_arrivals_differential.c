/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random heads, good and bad, in random pieces: what the kernel notes is what a plain reading of
 * the same fields gives. LANETAG_DIFFERENTIAL_REQUESTS says how many (default 20000),
 * LANETAG_DIFFERENTIAL_SEED where to begin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "base/array.h"
#include "kernel/arrivals.h"
#include "kernel/tagger_run.h"

#define CAPACITY 4096
#define MAX_FIELDS 9
#define MAX_VALUE 330
#define AMBIGUOUS "(ambiguous)"

static struct tagger arrivals;
static struct pins pins;
static struct arrivals_fields fields;
static uint64_t random_state;

static unsigned random_below(unsigned bound)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (unsigned)((random_state * 0x2545f4914f6cdd1dULL >> 33) % bound);
}

enum kind { KIND_BAGGAGE, KIND_TRACE, KIND_REQUEST_ID, KIND_DATADOG, KIND_OTHER, KINDS };

static const char *const names[KINDS] = {"baggage", "traceparent", "x-request-id",
					 "x-datadog-trace-id", "x-request-idd"};

struct field {
	enum kind kind;
	char value[MAX_VALUE + 1];
	char id[65]; /* "": none that is noted */
};

struct head {
	struct field fields[MAX_FIELDS];
	size_t count;
};

static void fill(char *text, size_t length)
{
	static const char letters[] = "abcXYZ0123456789-._%=,;:@[`{\x01\x7f\xe4 ";

	for (size_t i = 0; i < length; i++)
		text[i] = letters[random_below(sizeof(letters) - 1)];
	/* White space at the ends is no part of a value. */
	if (length && text[0] == ' ')
		text[0] = 'a';
	if (length && text[length - 1] == ' ')
		text[length - 1] = 'a';
	text[length] = '\0';
}

/* Each request's ids are its own: they hold its number. */
static void make_field(struct field *field, unsigned number, size_t place)
{
	char rest[121];

	*field = (struct field){.kind = random_below(KINDS)};
	switch (field->kind) {
	case KIND_BAGGAGE:
		fill(field->value, random_below(8) ? random_below(40) : random_below(MAX_VALUE));
		break;
	case KIND_TRACE:
		snprintf(field->id, sizeof(field->id), "%08X4bf92f3577b34da6ABCDEF%02zx", number,
			 place);
		snprintf(field->value, sizeof(field->value), "00-%s-00f067aa0ba902b7-01",
			 field->id);
		if (random_below(8) == 0) { /* too short to be one */
			field->value[random_below(55)] = '\0';
			field->id[0] = '\0';
		}
		break;
	default:
		fill(rest, random_below(8) ? random_below(30) : random_below(120));
		snprintf(field->value, sizeof(field->value), "%u-%zu%s", number, place, rest);
		if (strlen(field->value) < sizeof(field->id) && field->kind != KIND_OTHER)
			strcpy(field->id, field->value);
	}
}

static size_t write_head(const struct head *head, char *text)
{
	static const char *const space[] = {"", " ", "\t", "  \t"};
	size_t length = (size_t)sprintf(text, "GET /?baggage: HTTP/1.1\r\nHost: a\r\n");

	for (size_t i = 0; i < head->count; i++) {
		const struct field *field = &head->fields[i];

		for (const char *at = names[field->kind]; *at; at++)
			text[length++] = random_below(4) || *at == '-' ? *at : (char)(*at & ~0x20);
		length += (size_t)sprintf(text + length, ":%s%s%s\r\n", space[random_below(4)],
					  field->value, space[random_below(4)]);
	}
	return length + (size_t)sprintf(text + length, "\r\n");
}

static size_t count_of(const struct head *head, enum kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < head->count; i++)
		count += head->fields[i].kind == kind &&
			 (kind == KIND_BAGGAGE ? head->fields[i].value[0] : head->fields[i].id[0]);
	return count;
}

/* What a call with the id of fields[index] shall get. */
static const char *expected(const struct head *head, size_t index)
{
	const char *tags = "";

	if (count_of(head, head->fields[index].kind) > 1 || count_of(head, KIND_BAGGAGE) > 1)
		return AMBIGUOUS;
	for (size_t i = 0; i < head->count; i++) {
		if (head->fields[i].kind == KIND_BAGGAGE && head->fields[i].value[0])
			tags = head->fields[i].value;
	}
	return strlen(tags) > LANETAG_ARRIVAL_MAX_TAGS ? AMBIGUOUS : tags;
}

static const char *found(const struct run_flow *flow, const struct field *field)
{
	static char text[LANETAG_ARRIVAL_MAX_TAGS + 1];
	struct arrivals_id id = {arrivals_field(&fields, span_of(names[field->kind])),
				 span_of(field->value)};
	struct arrivals_tags tags;

	switch (arrivals_find(&arrivals, &fields, flow->connection.local_address, &id, 1, &tags)) {
	case ARRIVALS_NONE:
		return "(none)";
	case ARRIVALS_AMBIGUOUS:
		return AMBIGUOUS;
	default:
		memcpy(text, tags.text, tags.length);
		text[tags.length] = '\0';
		return text;
	}
}

static void send_in_pieces(const struct run_flow *flow, uint64_t offset, const char *text,
			   size_t length)
{
	size_t most = random_below(3) ? RUN_PAYLOAD_MAX : 1 + random_below(60);

	for (size_t at = 0; at < length;) {
		size_t piece = 1 + random_below((unsigned)most);

		piece = piece < length - at ? piece : length - at;
		run_send(&arrivals, flow, offset + at, text + at, piece, 0);
		at += piece;
	}
}

static void notes_are_what_a_plain_reading_gives(void **state)
{
	const char *count = getenv("LANETAG_DIFFERENTIAL_REQUESTS"),
		   *seed = getenv("LANETAG_DIFFERENTIAL_SEED");
	unsigned requests = count ? (unsigned)strtoul(count, NULL, 10) : 20000;
	struct run_flow flow;
	uint64_t offset = 0;

	(void)state;
	random_state = seed ? strtoull(seed, NULL, 10) : 88;
	for (unsigned i = 0; i < requests; i++) {
		struct head head = {.count = random_below(MAX_FIELDS)};
		char text[8192];

		if (i % 16 == 0) {
			run_flow_init(&flow, i, random_below(2));
			run_begin(&arrivals, &flow);
			offset = 0;
		}
		for (size_t j = 0; j < head.count; j++)
			make_field(&head.fields[j], i, j);
		size_t length = write_head(&head, text);
		send_in_pieces(&flow, offset, text, length);
		offset += length;
		for (size_t j = 0; j < head.count; j++) {
			if (!head.fields[j].id[0])
				continue;
			if (strcmp(found(&flow, &head.fields[j]), expected(&head, j)) != 0)
				fail_msg("request %u of seed %s, field %zu: \"%s\", not \"%s\" "
					 "in\n%s",
					 i, seed ? seed : "88", j, found(&flow, &head.fields[j]),
					 expected(&head, j), text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(notes_are_what_a_plain_reading_gives)};
	struct program_options options = {
		.kind = PROGRAM_ARRIVALS, .variant = sandbox_variant(), .capacity = CAPACITY};
	char directory[PATH_MAX];
	uint16_t port = RUN_PORT;

	if (sandbox_is_skipped("arrivals differential"))
		return 0;
	sandbox_enter(directory);
	sandbox_require(pins_open(&pins, NULL) == 0, "pins");
	sandbox_require(program_load(&pins, &options, &arrivals.program) == 0, "load");
	arrivals_standard_fields(&fields);
	sandbox_require(arrivals_set_fields(&arrivals, &fields, 1) == 0, "fields");
	sandbox_require(tagger_set_ports(&arrivals, &port, 1) == 0, "ports");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
