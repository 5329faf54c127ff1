/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel and agent on the same streams: what the kernel marked must be what the agent decides,
 * request by request, or the kernel abstained. Streams are generated: LANETAG_DIFFERENTIAL_SEED the
 * generator's seed (default: the time); printed LANETAG_DIFFERENTIAL_REQUESTS  how many requests
 * (default 1,000,000) A stream on which they disagree is shrunk and written to
 * build/differential-SEED.txt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>
#include "http/chunked.h"
#include "http/head.h"
#include "kernel/tagger_run.h"
#include "manifest/manifest.h"
#include "manifest/wasm_plugin.h"
#include "policy/tag_rules.h"

#define RULES                                                                                   \
	"apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata:\n  name: tags\n" \
	"spec:\n  pluginConfig:\n    rules:\n"                                                  \
	"    - {header: x-user-id, modulo: 100, tagHeader: a,"                                  \
	" policies: [{range: 10, tagValue: v2}, {range: 60, tagValue: v3}]}\n"                  \
	"    - {header: x-user-id, modulo: 1000, hash: xxh64, seed: 7, tagHeader: b,"           \
	" policies: [{range: 499, tagValue: v2}]}\n"                                            \
	"    - {header: X-Device, modulo: 97, hash: xxh32, seed: 9, tagHeader: c,"              \
	" policies: [{range: 30, tagValue: v2}]}\n"                                             \
	"    - {header: x-user-id, modulo: 100, salt: pepper, tagHeader: d,"                    \
	" policies: [{range: 50, tagValue: v2}]}\n"                                             \
	"    - {header: tenant, modulo: 10, hash: xxh64, salt: s, tagHeader: e,"                \
	" policies: [{range: 3, tagValue: v2}]}\n"

#define MAX_REQUESTS 64
#define MAX_STREAM (256 * 1024)
#define MAX_SEGMENTS 8192

enum kind { PLAIN, CUT, TINY, RETRANSMITTED, REORDERED, ODD_IDS, HOSTILE, KINDS };

static const char *const kind_names[KINDS] = {
	"in order, plain", "cut anywhere",	"cut to 1-8 bytes", "retransmitted",
	"lost, reordered", "doubled, long ids", "hostile",
};

struct segment {
	uint32_t from, to;
};

struct stream {
	enum kind kind;
	uint32_t number; /* of its connection */
	char data[MAX_STREAM];
	uint32_t length;
	uint32_t starts[MAX_REQUESTS + 1]; /* of each request as generated */
	uint32_t request_count;
	struct segment segments[MAX_SEGMENTS];
	uint32_t segment_count;
};

struct tally {
	uint64_t requests, abstained, overwritten, unknown_rules, rules, disagreements;
};

static struct tagger tagger;
static struct pins pins;
static struct tag_rules *rules;
static struct manifest_set manifests;
static struct diagnostics diagnostics;
static uint64_t random_state;
static uint32_t next_connection;

static uint32_t draw(uint32_t below)
{
	random_state += 0x9E3779B97F4A7C15ULL;
	uint64_t mixed = (random_state ^ random_state >> 30) * 0xBF58476D1CE4E5B9ULL;

	mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBULL;
	return (uint32_t)((mixed >> 32) % below);
}

__attribute__((format(printf, 2, 3))) static void put(struct stream *stream, const char *format,
						      ...)
{
	va_list arguments;

	va_start(arguments, format);
	stream->length += (uint32_t)vsnprintf(stream->data + stream->length,
					      MAX_STREAM - stream->length, format, arguments);
	va_end(arguments);
}

static void put_bytes(struct stream *stream, uint32_t count, const char *alphabet)
{
	uint32_t letters = (uint32_t)strlen(alphabet);

	for (uint32_t i = 0; i < count && stream->length < MAX_STREAM - 1; i++)
		stream->data[stream->length++] = alphabet[draw(letters)];
}

#define TEXT "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.:;=/, x"
#define TOKEN "abcdefghijklmnopqrstuvwxyz0123456789-"

static void put_white_space(struct stream *stream)
{
	put_bytes(stream, draw(4) ? 1 : draw(5), " \t");
}

static void put_name(struct stream *stream, const char *name)
{
	for (; *name; name++) {
		bool upper = draw(2) && *name >= 'a' && *name <= 'z';
		stream->data[stream->length++] = (char)(upper ? *name - 32 : *name);
	}
	put(stream, ":");
}

static void put_id(struct stream *stream, const char *name)
{
	uint32_t length = 1 + draw(12);

	if (stream->kind == ODD_IDS && draw(4) == 0)
		length = draw(2) ? 0 : 200 + draw(500);
	else if (draw(16) == 0)
		length = 1 + draw(256);
	put_name(stream, name);
	put_white_space(stream);
	put_bytes(stream, length, "0123456789abcdefABCDEF-_.");
	put_white_space(stream);
	put(stream, "\r\n");
}

static void put_decoy(struct stream *stream)
{
	static const char *const decoys[] = {
		"X-Other: x-user-id: 0001\r\n",
		"xx-user-id: 1\r\n",
		"x-user-i: 2\r\n",
		"x-user-idd: 3\r\n",
		"x-user_id: 4\r\n",
		"Cookie: x-user-id=5\r\n",
		"tenants: 6\r\n",
		"x-device-id: 7\r\n",
		"content-lengths: 8\r\n",
		"Accept: */*\r\n",
		"x-user-id-: 9\r\n",
		"Ten: ant: 1\r\n",
	};

	put(stream, "%s", decoys[draw(sizeof(decoys) / sizeof(*decoys))]);
}

static void put_filler(struct stream *stream)
{
	uint32_t length = draw(40);

	if (draw(300) == 0)
		length = draw(12000);
	if (draw(2)) {
		put_decoy(stream);
		return;
	}
	stream->data[stream->length++] = (char)('a' + draw(26));
	put_bytes(stream, draw(12), TOKEN);
	put(stream, "-f: ");
	put_bytes(stream, length, TEXT);
	put(stream, "\r\n");
}

static void put_ids(struct stream *stream)
{
	static const char *const names[] = {"x-user-id", "x-device", "tenant"};

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t copies = draw(3) > 0;

		if (stream->kind == ODD_IDS)
			copies = draw(4);
		while (copies--) {
			put_id(stream, names[i]);
			if (draw(3) == 0)
				put_filler(stream);
		}
	}
}

static void put_decoy_body(struct stream *stream, uint32_t length)
{
	static const char decoy[] = "\r\nX-User-Id: 9999\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n";

	for (uint32_t i = 0; i < length; i++)
		stream->data[stream->length++] = decoy[i % (sizeof(decoy) - 1)];
}

static void put_chunks(struct stream *stream)
{
	for (uint32_t i = draw(4); i > 0; i--) {
		uint32_t size = 1 + draw(draw(10) ? 60 : 4000);

		put(stream, draw(2) ? "%x" : "0%X", size);
		put(stream, "%s\r\n", draw(4) ? "" : ";x-user-id=1; a=\"b\"");
		put_decoy_body(stream, size);
		put(stream, "\r\n");
	}
	put(stream, "0\r\n");
	if (draw(4) == 0)
		put(stream, "X-User-Id: 7777\r\nEtag: x\r\n");
	put(stream, "\r\n");
}

static void put_request(struct stream *stream)
{
	static const char *const methods[] = {"GET",	"POST",	   "PUT",
					      "DELETE", "OPTIONS", "x-user-id"};
	uint32_t body = draw(4), length = draw(draw(10) ? 100 : 6000), fillers = draw(6);

	stream->starts[stream->request_count++] = stream->length;
	put(stream, "%s /", methods[draw(6)]);
	put_bytes(stream, draw(30), TOKEN);
	put(stream, "%s HTTP/1.1\r\n", draw(3) ? "" : "?x-user-id:1&x-user-id=2");
	put(stream, "Host: a\r\n");
	while (fillers--)
		put_filler(stream);
	bool ids_first = draw(2);

	if (ids_first)
		put_ids(stream);
	if (body == 0) {
		put_name(stream, "content-length");
		put(stream, " %u\r\n", length);
	} else if (body == 1) {
		put_name(stream, "transfer-encoding");
		put(stream, "%s\r\n", draw(2) ? " chunked" : "Chunked ");
	}
	if (!ids_first)
		put_ids(stream);
	put(stream, "\r\n");
	if (body == 0)
		put_decoy_body(stream, length);
	else if (body == 1)
		put_chunks(stream);
}

/* Changes a few bytes to those that matter to a parser. */
static void spoil(struct stream *stream)
{
	static const char bytes[] = "\r\n :\t0Gx-\0,;c";

	for (uint32_t i = 1 + draw(3); i > 0; i--)
		stream->data[draw(stream->length)] = bytes[draw(sizeof(bytes) - 1)];
}

static void add_segment(struct stream *stream, uint32_t from, uint32_t to)
{
	while (from < to && stream->segment_count < MAX_SEGMENTS) {
		uint32_t end = to - from > RUN_PAYLOAD_MAX ? from + RUN_PAYLOAD_MAX : to;

		stream->segments[stream->segment_count++] = (struct segment){from, end};
		from = end;
	}
}

static uint32_t segment_length(enum kind kind)
{
	if (kind == PLAIN)
		return RUN_PAYLOAD_MAX;
	if (kind == TINY)
		return 1 + draw(8);
	return 1 + draw(draw(4) ? RUN_PAYLOAD_MAX : 60);
}

/* Behind the request in which `at` stands: most clients send a request as a segment. */
static uint32_t request_end(const struct stream *stream, uint32_t at)
{
	uint32_t i = 0;

	while (i < stream->request_count && stream->starts[i] <= at)
		i++;
	return stream->starts[i];
}

static void cut(struct stream *stream)
{
	bool by_request = stream->kind == REORDERED && draw(2);
	uint32_t at = 0;

	while (at < stream->length) {
		uint32_t to =
			by_request ? request_end(stream, at) : at + segment_length(stream->kind);

		if (to > stream->length)
			to = stream->length;
		add_segment(stream, at, to);
		if (stream->kind == RETRANSMITTED && draw(3) == 0) {
			uint32_t from = at - draw(at + 1 > 4000 ? 4000 : at + 1);
			add_segment(stream, from, from + draw(to - from + 1));
		}
		at = to;
	}
	if (stream->kind != REORDERED)
		return;
	for (uint32_t i = 1; i < stream->segment_count; i++) {
		if (draw(8) == 0) {
			struct segment swapped = stream->segments[i];
			stream->segments[i] = stream->segments[i - 1];
			stream->segments[i - 1] = swapped;
		}
	}
}

static void generate(struct stream *stream)
{
	stream->kind = draw(KINDS);
	stream->length = stream->request_count = stream->segment_count = 0;
	uint32_t requests = stream->kind == TINY ? 1 + draw(6) : 1 + draw(MAX_REQUESTS);

	while (requests-- && stream->length < MAX_STREAM - 100000)
		put_request(stream);
	stream->starts[stream->request_count] = stream->length;
	if (stream->kind == HOSTILE)
		spoil(stream);
	cut(stream);
}

/* A request as the agent sees it. */
struct request {
	uint32_t from, head_end, to;
	struct tag_decision decision;
};

/* Behind the body that begins at `at`, or 0: broken or not whole. */
static uint32_t skip_chunks(const struct stream *stream, uint32_t at)
{
	struct http_chunked chunked = {0};
	struct http_trailers trailers;
	struct http_refusal refusal;
	size_t length;

	enum http_chunk_piece piece =
		http_chunked_scan(&chunked, stream->data + at, stream->length - at, &length);
	at += (uint32_t)length;
	if (piece != HTTP_CHUNK_TRAILERS ||
	    http_trailers_parse(stream->data + at, stream->length - at, 0, &trailers, &refusal) !=
		    HTTP_PARSE_COMPLETE)
		return 0;
	return at + (uint32_t)trailers.length;
}

/* The agent's reading of the whole stream; as many requests as it accepts. */
static uint32_t read_requests(const struct stream *stream, struct request *requests)
{
	uint32_t at = 0, count = 0;

	while (at < stream->length && count < MAX_REQUESTS + 8) {
		struct http_request_head head;
		struct http_refusal refusal;

		if (http_request_parse(stream->data + at, stream->length - at, 0,
				       &http_default_limits, &head,
				       &refusal) != HTTP_PARSE_COMPLETE)
			break;
		struct request *request = &requests[count++];
		request->from = at;
		request->head_end = at + (uint32_t)head.length;
		request->to = request->head_end;
		tag_rules_decide(rules, &head, &request->decision);
		if (head.framing == HTTP_FRAMING_CHUNKED)
			request->to = skip_chunks(stream, request->head_end);
		else if (head.content_length <= stream->length - request->head_end)
			request->to += (uint32_t)head.content_length;
		else
			request->to = 0;
		if (request->to == 0 || !head.keep_alive || head.upgrade)
			break;
		at = request->to;
	}
	return count;
}

/* 0, or 1: they disagree. */
static int compare(const struct request *request, const struct lanetag_mark *mark,
		   struct tally *tally)
{
	size_t count = tag_rules_count(rules);

	if (mark->rule_count != count)
		return 1;
	for (size_t i = 0; i < count; i++) {
		const struct tag_rule_decision *own = &request->decision.rules[i];
		uint32_t remainder = own->has_remainder ? own->remainder : LANETAG_NO_REMAINDER;

		tally->rules++;
		if (mark->policy[i] == LANETAG_POLICY_UNKNOWN)
			tally->unknown_rules++;
		else if (mark->policy[i] != own->policy || mark->remainder[i] != remainder)
			return 1;
	}
	return 0;
}

/* True if another mark of the same packet took this request's slot: it can't be there any more. */
static bool is_overwritten(const struct run_flow *flow, const struct request *requests,
			   uint32_t count, uint32_t which, uint32_t seen)
{
	uint64_t hash = lanetag_connection_hash(&flow->connection);

	for (uint32_t i = which + 1; i < count && requests[i].head_end <= seen; i++) {
		if (lanetag_mark_slot(hash, requests[i].from) ==
		    lanetag_mark_slot(hash, requests[which].from))
			return true;
	}
	return false;
}

/*
 * Sends the stream and reads each mark as soon as the agent has the request's head, as a proxy
 * would. Gives the number of disagreements.
 */
static uint32_t play(const struct stream *stream, struct tally *tally)
{
	static struct request requests[MAX_REQUESTS + 8];
	uint32_t count = read_requests(stream, requests), next = 0, received = 0, consumed = 0;
	uint32_t disagreements = 0, number = next_connection++;
	static bool missing[MAX_SEGMENTS];
	struct run_flow flow;

	run_flow_init(&flow, number, number % 3 == 0);
	flow.vlan = number % 5 == 0;
	flow.tcp_options = number % 2;
	flow.ip_options = number % 7 == 0;
	run_begin(&tagger, &flow);
	memset(missing, 1, sizeof(missing));
	for (uint32_t i = 0; i < stream->segment_count; i++) {
		const struct segment *segment = &stream->segments[i];

		if (stream->kind == REORDERED && segment->from > received && i % 16 == 5)
			tagger_confirm_position(&tagger, &flow.connection, consumed);
		run_send(&tagger, &flow, segment->from, stream->data + segment->from,
			 segment->to - segment->from, 0);
		for (uint32_t j = i > 4 ? i - 4 : 0; j <= i; j++) { /* what came early counts now */
			if (stream->segments[j].from <= received &&
			    stream->segments[j].to > received) {
				received = stream->segments[j].to;
				j = i > 4 ? i - 5 : UINT32_MAX;
			}
		}
		for (; next < count && requests[next].head_end <= received; next++) {
			struct lanetag_mark mark;

			tally->requests++;
			if (!tagger_find_mark(&tagger, &flow.connection, requests[next].from,
					      &mark)) {
				if (is_overwritten(&flow, requests, count, next, received))
					tally->overwritten++;
				else
					tally->abstained++;
			} else if (compare(&requests[next], &mark, tally)) {
				disagreements++;
			}
		}
		while (consumed < stream->length) { /* the agent is through with it */
			uint32_t end = consumed;

			for (uint32_t j = 0; j < next; j++) {
				if (requests[j].from == consumed && requests[j].to <= received)
					end = requests[j].to;
			}
			if (end <= consumed)
				break;
			consumed = end;
		}
		if (stream->kind == REORDERED)
			tagger_confirm_position(&tagger, &flow.connection, consumed);
	}
	run_send(&tagger, &flow, stream->length, NULL, 0, RUN_FIN);
	tally->disagreements += disagreements;
	return disagreements;
}

static bool still_fails(const struct stream *stream)
{
	struct tally tally = {0};

	return play(stream, &tally) > 0;
}

static uint32_t moved(uint32_t at, uint32_t from, uint32_t to)
{
	return at <= from ? at : at < to ? from : at - (to - from);
}

/* The stream without the bytes [from, to). */
static void without(const struct stream *stream, uint32_t from, uint32_t to, struct stream *ret)
{
	*ret = *stream;
	memmove(ret->data + from, ret->data + to, stream->length - to);
	ret->length -= to - from;
	ret->segment_count = 0;
	for (uint32_t i = 0; i < stream->segment_count; i++)
		add_segment(ret, moved(stream->segments[i].from, from, to),
			    moved(stream->segments[i].to, from, to));
}

/* Takes away ever smaller pieces as long as it fails without them. */
static void shrink(struct stream *stream)
{
	struct stream *smaller = malloc(sizeof(*smaller));

	assert_non_null(smaller);
	for (uint32_t size = stream->length / 2; size > 0; size /= 2) {
		for (uint32_t at = 0; at + size <= stream->length;) {
			without(stream, at, at + size, smaller);
			if (still_fails(smaller))
				*stream = *smaller;
			else
				at += size;
		}
	}
	free(smaller);
}

static void write_case(const struct stream *stream, uint64_t seed)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "build/differential-%llu.txt", (unsigned long long)seed);
	file = fopen(path, "w");
	if (file == NULL)
		return;
	fprintf(file, "# %s; segments:", kind_names[stream->kind]);
	for (uint32_t i = 0; i < stream->segment_count; i++)
		fprintf(file, " %u-%u", stream->segments[i].from, stream->segments[i].to);
	fprintf(file, "\n");
	fwrite(stream->data, 1, stream->length, file);
	fclose(file);
	print_message("# the failing stream, shrunk to %u bytes: %s\n", stream->length, path);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* Why the kernel abstained. */
static void report_events(void)
{
	printf("# events:");
	for (uint32_t i = 0; i < LANETAG_EVENTS; i++)
		printf(" %s=%lu", tagger_event_name(i), run_event(&tagger, i));
	printf("\n");
}

static void report(uint64_t seed, const struct tally tallies[KINDS])
{
	struct tally sum = {0};

	for (int i = 0; i < KINDS; i++) {
		const struct tally *tally = &tallies[i];

		sum.requests += tally->requests;
		sum.abstained += tally->abstained;
		sum.overwritten += tally->overwritten;
		sum.disagreements += tally->disagreements;
		printf("# %-18s %8lu requests, %6.3f %% abstained, %lu overwritten, %6.3f %% of "
		       "rules "
		       "unknown, %lu disagreements\n",
		       kind_names[i], tally->requests,
		       tally->requests ? 100.0 * (double)tally->abstained / (double)tally->requests
				       : 0,
		       tally->overwritten,
		       tally->rules ? 100.0 * (double)tally->unknown_rules / (double)tally->rules
				    : 0,
		       tally->disagreements);
	}
	printf("# seed %lu: %lu requests, %lu disagreements, %lu abstentions, %lu marks "
	       "overwritten by "
	       "a later request of the same packet\n",
	       seed, sum.requests, sum.disagreements, sum.abstained, sum.overwritten);
}

static void kernel_and_agent_decide_alike_or_the_kernel_abstains(void **state)
{
	uint64_t seed = setting("LANETAG_DIFFERENTIAL_SEED", (uint64_t)time(NULL));
	uint64_t wanted = setting("LANETAG_DIFFERENTIAL_REQUESTS", 1000000), done = 0;
	struct stream *stream = malloc(sizeof(*stream));
	struct tally tallies[KINDS] = {0};
	uint32_t failures = 0;

	(void)state;
	assert_non_null(stream);
	printf("# seed %lu\n", seed);
	random_state = seed;
	while (done < wanted && failures == 0) {
		generate(stream);
		struct tally *tally = &tallies[stream->kind];
		uint64_t before = tally->requests;

		failures = play(stream, tally);
		done += tally->requests - before;
	}
	report(seed, tallies);
	report_events();
	if (failures) {
		shrink(stream);
		write_case(stream, seed);
	}
	free(stream);
	assert_int_equal(failures, 0);
	assert_true(done >= wanted);
	assert_int_equal(tallies[PLAIN].abstained, 0);
	assert_int_equal(tallies[PLAIN].unknown_rules, 0);
	assert_int_equal(tallies[CUT].abstained, 0);
}

static int open_all(void **state)
{
	struct node **documents = NULL;
	size_t count = nodes_read_memory("rules.yaml", span_of(RULES), &diagnostics, &documents);

	(void)state;
	manifests.wasm_plugins = calloc(count, sizeof(struct wasm_plugin_manifest));
	assert_int_equal(count, 1);
	assert_int_equal(wasm_plugin_read(documents[0], &diagnostics, manifests.wasm_plugins), 0);
	manifests.wasm_plugin_count = 1;
	nodes_free(documents, count);
	if (tag_rules_compile(&manifests, 1, &diagnostics, &rules)) {
		diagnostics_print(&diagnostics, stdout);
		return -1;
	}
	run_open(&tagger, &pins, tag_rules_ruleset(rules));
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	run_close(&tagger, &pins);
	tag_rules_free(rules);
	wasm_plugin_free(manifests.wasm_plugins);
	free(manifests.wasm_plugins);
	diagnostics_free(&diagnostics);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_and_agent_decide_alike_or_the_kernel_abstains),
	};

	if (sandbox_is_skipped("differential"))
		return 0;
	return cmocka_run_group_tests(tests, open_all, close_all);
}
