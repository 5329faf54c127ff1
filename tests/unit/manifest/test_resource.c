/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include "manifest/resource.h"

struct reading {
	struct diagnostics diagnostics;
	struct node **documents;
	size_t count;
	int result;
	struct resource resource;
};

static struct reading read_resource(const char *text)
{
	struct reading reading = {0};

	reading.count = nodes_read_memory("a.yaml", span_of(text), &reading.diagnostics,
					  &reading.documents);
	assert_int_equal(reading.count, 1);
	reading.result =
		resource_read(reading.documents[0], &reading.diagnostics, &reading.resource);
	return reading;
}

static void done(struct reading *reading)
{
	resource_free(&reading->resource);
	nodes_free(reading->documents, reading->count);
	diagnostics_free(&reading->diagnostics);
}

static void metadata_is_read_and_outlives_the_document(void **state)
{
	struct reading reading = read_resource(
		"apiVersion: v1\nkind: Pod\nmetadata:\n  name: app-a-1\n  namespace: shop\n"
		"  uid: 12\n  labels: {app: app-a, version: v1}\n  annotations: {x/y: \"1\"}\n");

	(void)state;
	assert_int_equal(reading.result, 0);
	assert_nothing_said(&reading.diagnostics);
	nodes_free(reading.documents, reading.count);
	reading.documents = NULL;
	assert_string_equal(reading.resource.namespace, "shop");
	assert_string_equal(labels_get(&reading.resource.labels, "version"), "v1");
	assert_string_equal(labels_get(&reading.resource.annotations, "x/y"), "1");
	assert_null(labels_get(&reading.resource.labels, "absent"));
	assert_string_equal(reading.resource.place.file, "a.yaml");
	char *title = resource_title(&reading.resource);
	assert_string_equal(title, "Pod/app-a-1");
	free(title);
	done(&reading);
}

static void the_namespace_is_default_where_none_is_said(void **state)
{
	struct reading reading = read_resource("{apiVersion: v1, kind: Pod, metadata: {name: a}}");

	(void)state;
	assert_int_equal(reading.result, 0);
	assert_string_equal(reading.resource.namespace, "default");
	done(&reading);
}

static void every_fault_of_the_metadata_is_named_in_one_run(void **state)
{
	struct reading reading = read_resource("kind: Pod\nmetadata:\n  namespace: Shop\n"
					       "  labels:\n    version: 2\nspecs: {}\n");

	(void)state;
	assert_int_equal(reading.result, -1);
	assert_said(&reading.diagnostics, "a.yaml:1:1: Pod: apiVersion: missing");
	assert_said(&reading.diagnostics, "a.yaml:3:3: Pod: metadata.name: missing");
	assert_said(&reading.diagnostics, "a.yaml:3:14: Pod: metadata.namespace: ");
	assert_said(&reading.diagnostics, "a.yaml:5:14: Pod/?: metadata.labels.version: must be a");
	assert_said(&reading.diagnostics, "a.yaml:6:1: Pod/?: specs: unknown field");
	done(&reading);
}

static void a_document_that_is_no_mapping_is_refused(void **state)
{
	struct reading reading = read_resource("- a\n- b\n");

	(void)state;
	assert_int_equal(reading.result, -1);
	assert_said(&reading.diagnostics, "a.yaml:1:1: a manifest must be a mapping");
	done(&reading);
}

static void a_selector_selects_where_all_its_labels_agree(void **state)
{
	struct label have[] = {{"app", "a"}, {"version", "v1"}};
	struct label want[] = {{"version", "v1"}, {"app", "a"}, {"zone", "x"}};
	struct labels labels = {have, 2};

	(void)state;
	assert_true(labels_select(&(struct labels){want, 2}, &labels));
	assert_false(labels_select(&(struct labels){want, 3}, &labels));
	assert_true(labels_select(&(struct labels){NULL, 0}, &labels));
	want[0].value = "v2";
	assert_false(labels_select(&(struct labels){want, 2}, &labels));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metadata_is_read_and_outlives_the_document),
		cmocka_unit_test(the_namespace_is_default_where_none_is_said),
		cmocka_unit_test(every_fault_of_the_metadata_is_named_in_one_run),
		cmocka_unit_test(a_document_that_is_no_mapping_is_refused),
		cmocka_unit_test(a_selector_selects_where_all_its_labels_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
