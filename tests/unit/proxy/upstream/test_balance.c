/* SPDX-License-Identifier: GPL-2.0-only */
/* Endpoints as a worker knows them: found by all of their address, counted while they change. */
#include <stdlib.h>

#include "unit/manifest/manifest_test.h"

#include "proxy/upstream/balance.h"
#include "proxy/upstream/health.h"
#include "proxy/upstream/lease.h"
#include "proxy/upstream/upstreams.h"

#define ENDPOINTS 3000

/* A worker's side towards endpoints, without a thread; its lease has one cluster with ENDPOINTS endpoints. */
struct bench {
	struct configuration *configuration;
	struct loop loop;
	struct proxy_statistics statistics;
	struct random_numbers random;
	struct upstreams *upstreams;
	const struct mesh_cluster *cluster;
};

static char *manifests(const char *policy)
{
	struct buffer text = {0};

	buffer_printf(&text, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
			     "metadata: {name: a}\nspec:\n  hosts: [a.test]\n"
			     "  ports: [{number: 80, name: http, protocol: HTTP}]\n"
			     "  resolution: STATIC\n  endpoints:\n");
	for (unsigned i = 0; i < ENDPOINTS; i++)
		buffer_printf(&text, "  - address: 10.1.%u.%u\n", i >> 8, i & 255);
	buffer_printf(&text,
		      "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
		      "metadata: {name: a}\nspec: {host: a.test, trafficPolicy: {%s}}\n"
		      "---\napiVersion: networking.istio.io/v1\nkind: Gateway\n"
		      "metadata: {name: g}\nspec: {servers: [{port: {number: 8080, name: http, "
		      "protocol: HTTP}, hosts: ['*']}]}\n"
		      "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		      "metadata: {name: a}\nspec: {hosts: ['*'], gateways: [g], http: [{route: "
		      "[{destination: {host: a.test}}]}]}\n",
		      policy);
	buffer_append_byte(&text, '\0');
	return text.data;
}

static void adopt(struct bench *bench)
{
	struct lease *lease = lease_new(bench->configuration);

	assert_non_null(lease);
	lease->is_current = true;
	if (bench->upstreams->lease) {
		bench->upstreams->lease->is_current = false;
		lease_leave(bench->upstreams, bench->upstreams->lease);
	}
	bench->upstreams->lease = lease;
}

static void bench_start(struct bench *bench, const char *policy)
{
	char *text = manifests(policy);
	const struct manifest_file file = {"a.yaml", text, strlen(text)};
	struct diagnostics diagnostics = {0};

	*bench = (struct bench){0};
	bench->configuration = configuration_load_files(&file, 1, MANIFEST_ALL, 1, &diagnostics);
	assert_non_null(bench->configuration);
	diagnostics_free(&diagnostics);
	free(text);
	bench->upstreams = calloc(1, sizeof(*bench->upstreams));
	assert_non_null(bench->upstreams);
	bench->upstreams->loop = &bench->loop;
	bench->upstreams->statistics = &bench->statistics;
	bench->upstreams->random = &bench->random;
	bench->loop.now_ms = 1000000;
	timer_wheel_start(&bench->loop.timers, bench->loop.now_ms);
	bench->cluster = mesh_cluster(bench->configuration->mesh, 0);
	assert_int_equal(bench->cluster->endpoint_count, ENDPOINTS);
	adopt(bench);
}

static void bench_stop(struct bench *bench)
{
	lease_leave(bench->upstreams, bench->upstreams->lease);
	bench->upstreams->lease = NULL;
	while (lease_move_step(bench->upstreams))
		;
	assert_int_equal(bench->upstreams->backends.count, 0);
	backend_table_free(&bench->upstreams->backends);
	free(bench->upstreams);
	configuration_drop(bench->configuration);
}

static void expired(void *context, struct timer *timer)
{
	health_update(context, (struct backend *)((char *)timer - offsetof(struct backend, timer)));
}

static void pass_time(struct bench *bench, uint64_t ms)
{
	bench->loop.now_ms += ms;
	timer_wheel_run(&bench->loop.timers, bench->loop.now_ms, expired, bench->upstreams);
}

static struct backend *backend_at(struct bench *bench, size_t endpoint)
{
	return lease_backend(bench->upstreams, bench->upstreams->lease, bench->cluster, endpoint);
}

/* The endpoints [first, end) refuse connections. */
static void refuse(struct bench *bench, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		health_note_connect(bench->upstreams, backend_at(bench, i), false);
}

static const struct cluster_state *state_of(const struct bench *bench)
{
	return &bench->upstreams->lease->clusters[bench->cluster->index];
}

static size_t longest_list(const struct backend_table *table)
{
	size_t longest = 0;

	for (size_t i = 0; i < table->bucket_count; i++) {
		unsigned segment = 0;
		size_t at = i, length = 0;

		for (size_t size = BACKEND_FIRST_BUCKETS; at >= size; segment++) {
			at -= size;
			size = (size_t)BACKEND_FIRST_BUCKETS << segment;
		}
		for (const struct backend *backend = table->segments[segment][at]; backend;
		     backend = backend->next)
			length++;
		longest = length > longest ? length : longest;
	}
	return longest;
}

static void write_number(uint8_t *bytes, size_t count, size_t number)
{
	for (size_t i = count; i-- > 0; number >>= 8)
		bytes[i] = (uint8_t)number;
}

static void endpoints_spread_whatever_they_differ_in(void **state)
{
	/* Where the number of an endpoint stands. */
	static const struct {
		size_t at, bytes;
		bool in_port;
	} rows[] = {{13, 3, false}, {12, 3, false}, {12, 2, false}, {0, 2, false},
		    {6, 2, false},  {14, 2, false}, {0, 0, true}};

	(void)state;
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct loop *loop = calloc(1, sizeof(*loop));
		struct upstreams *upstreams = calloc(1, sizeof(*upstreams));
		struct backend **backends = calloc(50000, sizeof(struct backend *));

		upstreams->loop = loop;
		for (size_t i = 0; i < 50000; i++) {
			uint8_t address[16] = {[10] = 255, 255, 10, 1, 2, 3};

			if (!rows[row].in_port)
				write_number(address + rows[row].at, rows[row].bytes, i);
			backends[i] = backend_take(upstreams, address,
						   rows[row].in_port ? (uint16_t)i : 80);
			struct backend *known =
				backend_take_known(upstreams, address, backends[i]->port);
			assert_ptr_equal(known, backends[i]);
			backend_drop(upstreams, known);
		}
		assert_int_equal(upstreams->backends.count, 50000);
		assert_in_range(longest_list(&upstreams->backends), 1, 12);
		for (size_t i = 0; i < 50000; i++)
			backend_drop(upstreams, backends[i]);
		assert_int_equal(upstreams->backends.count, 0);
		backend_table_free(&upstreams->backends);
		free(backends);
		free(loop);
		free(upstreams);
	}
}

static void who_is_down_stays_down_across_a_reload(void **state)
{
	struct bench bench;

	(void)state;
	bench_start(&bench, "");
	refuse(&bench, 0, 100);
	adopt(&bench);
	assert_int_equal(state_of(&bench)->down, 0); /* not looked at yet */
	assert_int_equal(
		balance_choose(bench.upstreams, bench.upstreams->lease, bench.cluster, NULL) >= 100,
		1);
	unsigned steps = 1;
	while (lease_move_step(bench.upstreams))
		steps++;
	assert_true(steps > ENDPOINTS / 1000);
	assert_int_equal(state_of(&bench)->down, 100);
	assert_null(bench.upstreams->leaving_leases);
	for (unsigned i = 0; i < 2 * ENDPOINTS; i++)
		assert_true(balance_choose(bench.upstreams, bench.upstreams->lease, bench.cluster,
					   NULL) >= 100);
	pass_time(&bench, 10000);
	assert_int_equal(state_of(&bench)->down, 0);
	bench_stop(&bench);
}

static void an_endpoint_that_answers_again_counts_at_once(void **state)
{
	struct bench bench;

	(void)state;
	bench_start(&bench, "");
	refuse(&bench, 5, 6);
	assert_int_equal(state_of(&bench)->unusable, 1);
	refuse(&bench, 5, 6); /* still the same one */
	assert_int_equal(state_of(&bench)->unusable, 1);
	health_note_connect(bench.upstreams, backend_at(&bench, 5), true);
	assert_int_equal(state_of(&bench)->unusable, 0);
	bench_stop(&bench);
}

/* By 5xx as long as the share allows. */
static void eject(struct bench *bench, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		health_note_status(bench->upstreams, bench->upstreams->lease, bench->cluster,
				   backend_at(bench, i), 500);
}

static void no_more_are_left_out_than_the_share(void **state)
{
	struct bench bench;

	(void)state;
	bench_start(&bench, "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 20, "
			    "baseEjectionTime: 30s}");
	eject(&bench, 0, ENDPOINTS);
	assert_int_equal(state_of(&bench)->ejected, ENDPOINTS / 5);
	refuse(&bench, 0, ENDPOINTS / 10); /* down as well: still so many are not usable */
	assert_int_equal(state_of(&bench)->unusable, ENDPOINTS / 5);
	pass_time(&bench, 31000);
	assert_int_equal(state_of(&bench)->unusable, 0);
	bench_stop(&bench);
}

static void below_the_least_share_of_healthy_ones_nobody_is_left_out(void **state)
{
	struct bench bench;
	bool met = false;

	(void)state;
	bench_start(&bench, "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 100, "
			    "minHealthPercent: 50}");
	eject(&bench, 0, ENDPOINTS / 2);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		assert_true(balance_choose(bench.upstreams, bench.upstreams->lease, bench.cluster,
					   NULL) >= ENDPOINTS / 2);
	eject(&bench, ENDPOINTS / 2, ENDPOINTS / 2 + 1);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		met |= balance_choose(bench.upstreams, bench.upstreams->lease, bench.cluster,
				      NULL) < ENDPOINTS / 2;
	assert_true(met);
	bench_stop(&bench);
}

static void who_is_up_is_found_in_every_way_of_balancing(void **state)
{
	static const char *const policies[] = {
		"loadBalancer: {simple: ROUND_ROBIN}",
		"loadBalancer: {simple: RANDOM}",
		"loadBalancer: {simple: LEAST_REQUEST}",
		"loadBalancer: {consistentHash: {httpHeaderName: x-user-id}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct bench bench;

		bench_start(&bench, policies[i]);
		refuse(&bench, 0, ENDPOINTS - 1);
		for (uint64_t user = 0; user < 50; user++) {
			uint64_t hash = user * UINT64_C(0x9e3779b97f4a7c15);

			assert_int_equal(balance_choose(bench.upstreams, bench.upstreams->lease,
							bench.cluster, &hash),
					 ENDPOINTS - 1);
		}
		assert_true(balance_has_healthy(bench.upstreams->lease, bench.cluster));
		refuse(&bench, ENDPOINTS - 1, ENDPOINTS);
		assert_false(balance_has_healthy(bench.upstreams->lease, bench.cluster));
		bench_stop(&bench);
	}
}

static void the_idler_of_two_gets_the_request(void **state)
{
	struct bench bench;
	unsigned idle = 0;

	(void)state;
	bench_start(&bench, "loadBalancer: {simple: LEAST_REQUEST}");
	for (size_t i = 0; i < ENDPOINTS; i += 2)
		backend_at(&bench, i)->requests = 5;
	for (unsigned i = 0; i < 400; i++)
		idle += balance_choose(bench.upstreams, bench.upstreams->lease, bench.cluster,
				       NULL) %
			2;
	assert_in_range(idle, 250, 350); /* three of four pairs have one */
	for (size_t i = 0; i < ENDPOINTS; i += 2)
		backend_at(&bench, i)->requests = 0;
	bench_stop(&bench);
}

static void a_user_keeps_the_endpoint_of_the_hash(void **state)
{
	struct bench bench;
	int first = -1;
	bool spread = false;

	(void)state;
	bench_start(&bench, "loadBalancer: {consistentHash: {httpHeaderName: x-user-id}}");
	for (uint64_t user = 0; user < 100; user++) {
		uint64_t hash = user * UINT64_C(0x9e3779b97f4a7c15);
		int endpoint = balance_choose(bench.upstreams, bench.upstreams->lease,
					      bench.cluster, &hash);

		assert_int_equal(balance_choose(bench.upstreams, bench.upstreams->lease,
						bench.cluster, &hash),
				 endpoint);
		spread |= first >= 0 && endpoint != first;
		first = endpoint;
	}
	assert_true(spread);
	bench_stop(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_spread_whatever_they_differ_in),
		cmocka_unit_test(who_is_down_stays_down_across_a_reload),
		cmocka_unit_test(an_endpoint_that_answers_again_counts_at_once),
		cmocka_unit_test(no_more_are_left_out_than_the_share),
		cmocka_unit_test(below_the_least_share_of_healthy_ones_nobody_is_left_out),
		cmocka_unit_test(who_is_up_is_found_in_every_way_of_balancing),
		cmocka_unit_test(the_idler_of_two_gets_the_request),
		cmocka_unit_test(a_user_keeps_the_endpoint_of_the_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
