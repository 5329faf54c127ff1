/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/mesh/mesh_test.h"

#define MANY 2000

static void append_service(struct buffer *text, const char *prefix, unsigned number)
{
	buffer_printf(text,
		      "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s-%u}\n"
		      "spec: {clusterIP: 10.%u.%u.%u, ports: [{name: http, port: 80}]}\n",
		      prefix, number, prefix[0] - 'a' + 1, number / 250, number % 250 + 1);
}

/* Services PREFIX-FIRST … in front, and one, z-0, that a route leads to. */
static void start(struct fixture *fixture, const char *prefix, unsigned first, unsigned count)
{
	struct buffer text = {0};

	for (unsigned i = first; i < first + count; i++)
		append_service(&text, prefix, i);
	append_service(&text, "z", 0);
	buffer_append_text(&text, "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
				  "metadata: {name: z}\nspec:\n  hosts: [z-0]\n  http:\n"
				  "  - route: [{destination: {host: z-0}}]\n");
	fixture_start(fixture, buffer_text(&text));
	buffer_free(&text);
}

static size_t series_of(const struct mesh *mesh, const char *name)
{
	struct buffer host = {0};
	size_t series = 0;

	buffer_printf(&host, "%s.default.svc.cluster.local", name);
	for (size_t i = 0; i < mesh_cluster_count(mesh); i++) {
		if (strcmp(mesh_cluster(mesh, i)->host, buffer_text(&host)) == 0)
			series = mesh_cluster(mesh, i)->series;
	}
	buffer_free(&host);
	return series;
}

/* Each number is one cluster's; gives how many there are. */
static size_t assert_consistent(const struct mesh *mesh)
{
	size_t count = 0, without = 0;

	for (size_t i = 1; i <= MESH_SERIES; i++) {
		const struct mesh_cluster *cluster = mesh_cluster_of_series(mesh, i);

		if (!cluster)
			continue;
		assert_int_equal(cluster->series, i);
		count++;
	}
	for (size_t i = 0; i < mesh_cluster_count(mesh); i++)
		without += mesh_cluster(mesh, i)->series == 0;
	assert_int_equal(without, mesh_clusters_without_series(mesh));
	assert_int_equal(count + without, mesh_cluster_count(mesh));
	assert_null(mesh_cluster_of_series(mesh, 0));
	return count;
}

static void test_thousands_of_hosts_share_a_bounded_number_of_series(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "a", 0, MANY);
	assert_int_equal(assert_consistent(fixture.mesh), MESH_SERIES);
	assert_int_equal(mesh_clusters_without_series(fixture.mesh), MANY + 1 - MESH_SERIES);
	fixture_stop(&fixture);
}

static void test_what_routes_lead_to_comes_before_other_services(void **state)
{
	struct fixture fixture;

	(void)state;
	start(&fixture, "a", 0, MANY);
	assert_int_not_equal(series_of(fixture.mesh, "z-0"), 0);
	fixture_stop(&fixture);
}

static void test_a_destination_keeps_its_series_across_configurations(void **state)
{
	struct fixture old, new;

	(void)state;
	start(&old, "b", 0, 20);
	start(&new, "b", 10, 20); /* ten are gone, ten have come */
	mesh_assign_series(new.mesh, old.mesh);
	assert_int_equal(assert_consistent(new.mesh), 21);
	assert_int_equal(series_of(new.mesh, "b-15"), series_of(old.mesh, "b-15"));
	assert_int_equal(series_of(new.mesh, "z-0"), series_of(old.mesh, "z-0"));
	assert_false(mesh_series_is_new(new.mesh, old.mesh, series_of(new.mesh, "b-15")));
	assert_true(mesh_series_is_new(new.mesh, old.mesh, series_of(new.mesh, "b-25")));
	/* Numbers that nobody had before are taken first. */
	assert_null(mesh_cluster_of_series(old.mesh, series_of(new.mesh, "b-25")));
	fixture_stop(&old);
	fixture_stop(&new);
}

static void test_series_are_given_out_again_once_all_were_used(void **state)
{
	struct fixture old, new;

	(void)state;
	start(&old, "c", 0, 200);
	for (unsigned first = 200; first < 2000; first += 200) {
		start(&new, "c", first, 200);
		mesh_assign_series(new.mesh, old.mesh);
		assert_int_equal(assert_consistent(new.mesh), 201);
		for (size_t i = 1; i <= MESH_SERIES; i++) {
			const struct mesh_cluster *cluster = mesh_cluster_of_series(new.mesh, i);

			if (cluster && i != series_of(new.mesh, "z-0"))
				assert_true(mesh_series_is_new(new.mesh, old.mesh, i));
		}
		fixture_stop(&old);
		old = new;
	}
	fixture_stop(&old);
}

/* One Service with two ports and, on each, two subsets; `more` in front of it. */
static void start_with_subsets(struct fixture *fixture, const char *more)
{
	struct buffer text = {0};

	buffer_append_text(&text, more);
	buffer_append_text(
		&text,
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: app}\n"
		"spec: {clusterIP: 10.9.0.1, ports: [{name: http-a, port: 80}, {name: http-b, "
		"port: 81}]}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: "
		"app}\n"
		"spec: {host: app, subsets: [{name: v1, labels: {v: '1'}}, {name: v2, labels: {v: "
		"'2'}}]}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
		"app}\n"
		"spec: {hosts: [app], http: [{route: [\n"
		"{destination: {host: app, subset: v1, port: {number: 80}}, weight: 25},\n"
		"{destination: {host: app, subset: v2, port: {number: 80}}, weight: 25},\n"
		"{destination: {host: app, subset: v1, port: {number: 81}}, weight: 25},\n"
		"{destination: {host: app, subset: v2, port: {number: 81}}, weight: 25}]}]}\n");
	fixture_start(fixture, buffer_text(&text));
	buffer_free(&text);
}

static void test_subsets_and_ports_have_a_series_each(void **state)
{
	struct fixture old, new;
	size_t found = 0;

	(void)state;
	start_with_subsets(&old, "");
	start_with_subsets(&new, "---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
				 "spec: {clusterIP: 10.9.0.2, ports: [{name: http, port: 80}]}\n");
	mesh_assign_series(new.mesh, old.mesh);
	assert_consistent(new.mesh);
	for (size_t i = 1; i <= MESH_SERIES; i++) {
		const struct mesh_cluster *before = mesh_cluster_of_series(old.mesh, i),
					  *now = mesh_cluster_of_series(new.mesh, i);

		if (!before || !before->subset)
			continue;
		assert_non_null(now);
		assert_string_equal(now->subset, before->subset);
		assert_int_equal(now->port, before->port);
		found++;
	}
	assert_int_equal(found, 4);
	fixture_stop(&old);
	fixture_stop(&new);
}

static void test_what_was_just_given_back_is_given_out_last(void **state)
{
	struct fixture all, few, next;

	(void)state;
	start(&all, "c", 0, MESH_SERIES - 1);
	start(&few, "c", 0, 100);
	mesh_assign_series(few.mesh, all.mesh);
	start(&next, "c", 50, 60); /* c-0 to c-49 go, c-100 to c-109 come */
	mesh_assign_series(next.mesh, few.mesh);
	assert_int_equal(assert_consistent(next.mesh), 61);
	for (unsigned i = 100; i < 110; i++) {
		char name[8];

		snprintf(name, sizeof(name), "c-%u", i);
		assert_null(mesh_cluster_of_series(few.mesh, series_of(next.mesh, name)));
	}
	fixture_stop(&all);
	fixture_stop(&few);
	fixture_stop(&next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thousands_of_hosts_share_a_bounded_number_of_series),
		cmocka_unit_test(test_what_routes_lead_to_comes_before_other_services),
		cmocka_unit_test(test_a_destination_keeps_its_series_across_configurations),
		cmocka_unit_test(test_series_are_given_out_again_once_all_were_used),
		cmocka_unit_test(test_subsets_and_ports_have_a_series_each),
		cmocka_unit_test(test_what_was_just_given_back_is_given_out_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
