/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "base/array.h"
#include "manifest/header_propagation.h"

struct reading {
	struct diagnostics diagnostics;
	struct header_propagation_manifest manifest;
};

static struct reading read_annotated(const char *annotations, const char *spec)
{
	struct reading reading = {0};
	struct buffer text = {0};
	struct node **documents;

	buffer_printf(&text,
		      "apiVersion: istio.alibabacloud.com/v1beta1\nkind: ASMHeaderPropagation\n"
		      "metadata: {name: tags%s}\n%s",
		      annotations, spec);
	size_t count =
		nodes_read_memory("p.yaml", buffer_span(&text), &reading.diagnostics, &documents);
	if (count != 1)
		fail_msg("%s", diagnostics_text(&reading.diagnostics));
	header_propagation_read(documents[0], &reading.diagnostics, &reading.manifest);
	nodes_free(documents, count);
	buffer_free(&text);
	return reading;
}

static struct reading read_text(const char *spec)
{
	return read_annotated("", spec);
}

static void done(struct reading *reading)
{
	header_propagation_free(&reading->manifest);
	diagnostics_free(&reading->diagnostics);
}

static void names_prefixes_and_a_selector_are_read(void **state)
{
	static const char *const fields[] = {"labels", "matchLabels"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		char spec[160];

		snprintf(spec, sizeof(spec),
			 "spec: {headers: [x-a, X-B], headerPrefixes: [appver-],"
			 " workloadSelector: {%s: {app: a}}}\n",
			 fields[i]);
		struct reading reading = read_text(spec);
		assert_nothing_said(&reading.diagnostics);
		assert_int_equal(reading.manifest.header_count, 2);
		assert_string_equal(reading.manifest.headers[1], "X-B");
		assert_int_equal(reading.manifest.header_prefix_count, 1);
		assert_string_equal(reading.manifest.header_prefixes[0], "appver-");
		assert_true(reading.manifest.has_workload_selector);
		assert_string_equal(labels_get(&reading.manifest.workload_selector, "app"), "a");
		done(&reading);
	}
}

static void without_a_selector_every_workload_is_meant(void **state)
{
	struct reading reading = read_text("spec: {headerPrefixes: [appver-]}\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_false(reading.manifest.has_workload_selector);
	assert_int_equal(reading.manifest.header_count, 0);
	done(&reading);
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
	static const struct {
		const char *spec, *said;
	} rows[] = {
		{"", "p.yaml:1:1: ASMHeaderPropagation/tags: spec: missing"},
		{"spec: {}\n", "p.yaml:4:7: ASMHeaderPropagation/tags: spec: "},
		{"spec: {headers: [a b]}\n",
		 "p.yaml:4:18: ASMHeaderPropagation/tags: spec.headers[0]: \"a b\" is no field "
		 "name"},
		{"spec: {headers: ['']}\n", "spec.headers[0]: \"\" is no field name"},
		{"spec: {headerPrefixes: [ok, 'x:']}\n", "p.yaml:4:29: "},
		{"spec: {headers: x}\n", "spec.headers: "},
		{"spec: {headers: [x], header: [y]}\n", "spec.header: "},
		{"spec: {headers: [x], workloadSelector: {label: {a: b}}}\n",
		 "spec.workloadSelector.label: "},
		{"spec: {headers: [x], workloadSelector: [a]}\n", "spec.workloadSelector: "},
		{"spec: {headers: [x], workloadSelector: {labels: {a: b}, matchLabels: {c: d}}}\n",
		 "spec.workloadSelector.matchLabels: stands beside labels"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading = read_text(rows[i].spec);

		assert_true(reading.diagnostics.error_count > 0);
		assert_said(&reading.diagnostics, rows[i].said);
		done(&reading);
	}
}

static void ways_are_chosen_by_annotation(void **state)
{
	static const struct {
		const char *annotations;
		unsigned ways;
	} rows[] = {
		{"", PROPAGATION_STANDARD_WAYS},
		{", annotations: {other.example/propagation-ways: x}", PROPAGATION_STANDARD_WAYS},
		{", annotations: {lanetag.io/propagation-ways: thread}",
		 PROPAGATION_WAY(PROPAGATION_THREAD)},
		{", annotations: {lanetag.io/propagation-ways: 'header,baggage , user-id, trace'}",
		 PROPAGATION_STANDARD_WAYS},
	};

	(void)state;
	assert_false(PROPAGATION_STANDARD_WAYS & PROPAGATION_WAY(PROPAGATION_THREAD));
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading =
			read_annotated(rows[i].annotations, "spec: {headers: [x]}\n");

		assert_nothing_said(&reading.diagnostics);
		assert_int_equal(reading.manifest.ways, rows[i].ways);
		done(&reading);
	}
}

static void unknown_ways_and_annotations_are_named(void **state)
{
	static const struct {
		const char *annotations, *said;
	} rows[] = {
		{", annotations: {lanetag.io/propagation-ways: 'header, bagage'}",
		 "p.yaml:3:67: ASMHeaderPropagation/tags: "
		 "metadata.annotations.lanetag.io/propagation-ways: \"bagage\" is none of header,"},
		{", annotations: {lanetag.io/propagation-ways: ''}", "names no way"},
		{", annotations: {lanetag.io/propagation-ways: ','}", "\"\" is none of"},
		{", annotations: {lanetag.io/propagation-way: trace}", "unknown annotation"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading reading =
			read_annotated(rows[i].annotations, "spec: {headers: [x]}\n");

		assert_said(&reading.diagnostics, rows[i].said);
		done(&reading);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_prefixes_and_a_selector_are_read),
		cmocka_unit_test(without_a_selector_every_workload_is_meant),
		cmocka_unit_test(what_is_wrong_is_named_with_its_place),
		cmocka_unit_test(ways_are_chosen_by_annotation),
		cmocka_unit_test(unknown_ways_and_annotations_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
