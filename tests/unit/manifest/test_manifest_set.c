/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "manifest/destination_rule.h"
#include "manifest/manifest.h"
#include "manifest/service.h"
#include "manifest/virtual_service.h"

struct reading {
	char directory[64];
	struct diagnostics diagnostics;
	struct manifest_set set;
};

static void start(struct reading *reading)
{
	*reading = (struct reading){0};
	strcpy(reading->directory, "/tmp/lanetag-manifests-XXXXXX");
	assert_non_null(mkdtemp(reading->directory));
}

static void path_of(const struct reading *reading, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", reading->directory, name);
}

static void write_file(const struct reading *reading, const char *name, const char *text)
{
	char path[128];

	path_of(reading, name, path);
	FILE *stream = fopen(path, "w");
	assert_non_null(stream);
	fputs(text, stream);
	fclose(stream);
}

static void read_all(struct reading *reading)
{
	const char *paths[] = {reading->directory};

	manifest_set_read(paths, 1, MANIFEST_ALL, &reading->diagnostics, &reading->set);
}

static void stop(struct reading *reading)
{
	static const char *const names[] = {"a.yaml",	    "b.yml",	 "c.json",
					    ".hidden.yaml", "notes.txt", "sub.yaml"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		path_of(reading, names[i], path);
		unlink(path);
		rmdir(path);
	}
	assert_int_equal(rmdir(reading->directory), 0);
	manifest_set_free(&reading->set);
	diagnostics_free(&reading->diagnostics);
}

#define SERVICE(name) "apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {}\n---\n"
#define RULE(version)                                                          \
	"apiVersion: networking.istio.io/" version "\nkind: DestinationRule\n" \
	"metadata: {name: " version "}\nspec: {host: a}\n---\n"

static void a_directory_is_read_in_the_order_of_names(void **state)
{
	struct reading reading;
	char path[128];

	(void)state;
	start(&reading);
	write_file(&reading, "b.yml", SERVICE("b"));
	write_file(&reading, "a.yaml", SERVICE("a1") SERVICE("a2"));
	write_file(&reading, "c.json",
		   "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": "
		   "{\"name\": \"c\"}, \"spec\": {}}");
	write_file(&reading, ".hidden.yaml", SERVICE("hidden"));
	write_file(&reading, "notes.txt", "no: [yaml");
	path_of(&reading, "sub.yaml", path);
	assert_int_equal(mkdir(path, 0700), 0);
	read_all(&reading);
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.set.file_count, 3);
	assert_int_equal(reading.set.service_count, 4);
	assert_string_equal(reading.set.services[0].resource.name, "a1");
	assert_string_equal(reading.set.services[2].resource.name, "b");
	assert_string_equal(reading.set.services[3].resource.name, "c");
	stop(&reading);
}

static void istios_versions_are_the_same(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml", RULE("v1alpha3") RULE("v1beta1") RULE("v1"));
	read_all(&reading);
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.set.destination_rule_count, 3);
	stop(&reading);
}

static void an_unknown_version_of_our_kind_is_an_error(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml", RULE("v7"));
	read_all(&reading);
	assert_said(&reading.diagnostics, "a.yaml:1:13: DestinationRule: apiVersion: \"v7\" is no");
	assert_int_equal(reading.set.destination_rule_count, 0);
	stop(&reading);
}

static void other_kinds_are_passed_over_and_counted(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml",
		   "apiVersion: apps/v1\nkind: Deployment\nspec: {any: thing}\n---\n"
		   "apiVersion: apps/v1\nkind: Deployment\n---\n"
		   "apiVersion: example.com/v1\nkind: Service\n---\n" SERVICE("a"));
	read_all(&reading);
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.set.passed_over_count, 2);
	assert_string_equal(reading.set.passed_over[0].kind, "Deployment");
	assert_int_equal(reading.set.passed_over[0].count, 2);
	assert_string_equal(reading.set.passed_over[1].api_version, "example.com/v1");
	assert_int_equal(reading.set.service_count, 1);
	stop(&reading);
}

static void an_istio_kind_that_is_not_ours_is_a_warning(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml",
		   "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s}\n");
	read_all(&reading);
	assert_said(
		&reading.diagnostics,
		"a.yaml:1:1: warning: Sidecar/s: not enforced, it limits no workload's ports and "
		"hosts: no host of these manifests");
	assert_int_equal(reading.diagnostics.error_count, 0);
	stop(&reading);
}

static void what_is_not_enforced_is_said_with_the_hosts_that_lose_it(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml",
		   "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
		   "metadata: {name: p, namespace: shop}\n"
		   "spec: {selector: {matchLabels: {app: a}}, rules: [{to: []}]}\n---\n"
		   "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
		   "metadata: {name: all, namespace: istio-system}\n---\n"
		   "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n"
		   "spec: {rules: [{host: i.test}]}\n---\n"
		   "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}, "
		   "spec: {selector: {app: a}}}\n---\n"
		   "{apiVersion: v1, kind: Service, metadata: {name: b, namespace: shop}, "
		   "spec: {selector: {app: b}}}\n");
	read_all(&reading);
	assert_said(&reading.diagnostics,
		    "a.yaml:1:1: warning: AuthorizationPolicy/p: not enforced, "
		    "no request is denied by it: a.shop.svc.cluster.local\n");
	assert_said(&reading.diagnostics, "warning: PeerAuthentication/all: not enforced, calls by "
					  "plain HTTP are taken: a.shop.svc.cluster.local, "
					  "b.shop.svc.cluster.local\n");
	assert_said(&reading.diagnostics,
		    "warning: Ingress/i: not enforced, nothing listens for it: i.test\n");
	assert_int_equal(reading.diagnostics.error_count, 0);
	stop(&reading);
}

static void the_items_of_a_list_are_documents(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml",
		   "apiVersion: v1\nkind: List\nitems:\n"
		   "- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {}}\n"
		   "- apiVersion: v1\n  kind: ServiceList\n  items:\n"
		   "  - {apiVersion: v1, kind: Service, metadata: {name: b}, spec: {}}\n"
		   "- 7\n");
	read_all(&reading);
	assert_said(&reading.diagnostics,
		    "a.yaml:9:3: a manifest must be a mapping with apiVersion and kind");
	assert_int_equal(reading.set.service_count, 2);
	assert_int_equal(reading.diagnostics.count, 1);
	stop(&reading);
}

static void what_stands_twice_is_named_with_both_places(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml", SERVICE("a") SERVICE("b"));
	write_file(&reading, "b.yml", "\n\n" SERVICE("a"));
	read_all(&reading);
	assert_int_equal(reading.diagnostics.error_count, 1);
	assert_said(&reading.diagnostics,
		    "/b.yml:3:1: Service/a: stands twice in the namespace default, also at ");
	assert_said(&reading.diagnostics, "/a.yaml:1:1");
	stop(&reading);
}

static void a_fault_in_one_file_leaves_the_others_readable(void **state)
{
	struct reading reading;
	const char *paths[3] = {reading.directory, "/nonexistent/x.yaml", NULL};

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml", SERVICE("a") "b: [\n");
	write_file(&reading, "b.yml", SERVICE("b"));
	manifest_set_read(paths, 2, MANIFEST_ALL, &reading.diagnostics, &reading.set);
	assert_int_equal(reading.set.service_count, 2);
	assert_said(&reading.diagnostics, "/a.yaml:7:1: YAML: ");
	assert_said(&reading.diagnostics, "/nonexistent/x.yaml: cannot read: No such file");
	stop(&reading);
}

static void manifests_outlive_their_files(void **state)
{
	struct reading reading;

	(void)state;
	start(&reading);
	write_file(&reading, "a.yaml",
		   "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		   "metadata: {name: a}\nspec:\n  hosts: [a]\n"
		   "  http: [{name: x, route: [{destination: {host: b}}]}]\n");
	read_all(&reading);
	assert_nothing_said(&reading.diagnostics);
	const struct virtual_service_manifest *service = &reading.set.virtual_services[0];
	assert_string_equal(service->http[0].name, "x");
	assert_string_equal(service->http[0].destinations[0].destination.host, "b");
	assert_non_null(strstr(service->http[0].place.file, "/a.yaml"));
	stop(&reading);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_is_read_in_the_order_of_names),
		cmocka_unit_test(istios_versions_are_the_same),
		cmocka_unit_test(an_unknown_version_of_our_kind_is_an_error),
		cmocka_unit_test(other_kinds_are_passed_over_and_counted),
		cmocka_unit_test(an_istio_kind_that_is_not_ours_is_a_warning),
		cmocka_unit_test(what_is_not_enforced_is_said_with_the_hosts_that_lose_it),
		cmocka_unit_test(the_items_of_a_list_are_documents),
		cmocka_unit_test(what_stands_twice_is_named_with_both_places),
		cmocka_unit_test(a_fault_in_one_file_leaves_the_others_readable),
		cmocka_unit_test(manifests_outlive_their_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
