/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "proxy/downstream/interception.h"
#include "proxy/sharing/options.h"

#define POD(name, namespace, address, extra)                                                  \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name                                   \
	", namespace: " namespace ", labels: {app: " name "}}\nspec: {containers: [], " extra \
				  "}\n"                                                       \
				  "status: {phase: Running, podIP: " address "}\n---\n"

/* A port that isn't HTTP, a gateway's and a host-network pod: none of it is intercepted. */
static const char cluster[] =
	"apiVersion: v1\nkind: Service\nmetadata: {name: app-a, namespace: shop}\n"
	"spec: {clusterIPs: [10.96.0.9, 'fd00::9'], selector: {app: app-a}, ports: "
	"[{port: 8000, name: http}, {port: 25, name: smtp}]}\n---\n"
	"apiVersion: networking.istio.io/v1beta1\nkind: Gateway\nmetadata: {name: edge}\n"
	"spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: "
	"['*']}]}\n---\n" POD("app-a", "shop", "10.0.0.2", "hostNetwork: false")
		POD("app-b", "shop", "10.0.0.1", "hostNetwork: false")
			POD("app-a", "other", "10.0.0.3", "hostNetwork: false")
				POD("app-c", "shop", "192.0.2.1", "hostNetwork: true");

static const char for_all[] =
	"apiVersion: istio.alibabacloud.com/v1beta1\nkind: ASMHeaderPropagation\n"
	"metadata: {name: all}\nspec: {headers: [x-lane]}\n";
static const char for_app_a[] =
	"apiVersion: istio.alibabacloud.com/v1beta1\nkind: ASMHeaderPropagation\n"
	"metadata: {name: a}\nspec: {headers: [x-lane], workloadSelector: {labels: {app: "
	"app-a}}}\n";

static void scope_of(const char *propagation, const char *namespace,
		     struct interception_scope *ret_scope)
{
	char path[] = "/tmp/lanetag-interception-XXXXXX.yaml";
	const char *paths[] = {path};
	int fd = mkstemps(path, 5);
	struct diagnostics diagnostics = {0};
	struct proxy_options options = {
		.intercepted_namespaces = &namespace,
		.intercepted_namespace_count = namespace ? 1 : 0,
	};

	dprintf(fd, "%s%s", cluster, propagation);
	close(fd);
	struct configuration *configuration = configuration_load(paths, 1, 1, &diagnostics);
	unlink(path);
	for (size_t i = 0; !configuration && i < diagnostics.count; i++)
		print_message("%s\n", diagnostics.items[i].text);
	assert_non_null(configuration);
	assert_int_equal(interceptor_scope(&options, configuration, ret_scope), 0);
	configuration_drop(configuration);
	diagnostics_free(&diagnostics);
}

static void assert_pods(const struct interception_scope *scope, const char *const *wanted,
			size_t count)
{
	assert_int_equal(scope->pod_count, count);
	for (size_t i = 0; i < count; i++) {
		char text[ADDRESS_TEXT_BYTES];

		address_print(scope->pods[i].address, text);
		assert_string_equal(text, wanted[i]);
	}
}

static void addresses_of_http_services_are_destinations(void **state)
{
	struct interception_scope scope;
	char text[ADDRESS_TEXT_BYTES];

	(void)state;
	scope_of(for_all, NULL, &scope);
	assert_int_equal(scope.destination_count, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(scope.destinations[i].port, 8000);
	address_print(scope.destinations[0].address, text);
	assert_string_equal(text, "10.96.0.9");
	address_print(scope.destinations[1].address, text);
	assert_string_equal(text, "fd00::9");
	interceptor_free_scope(&scope);
}

static void who_selects_no_labels_selects_everyone(void **state)
{
	struct interception_scope scope;

	(void)state;
	scope_of(for_all, NULL, &scope);
	assert_true(scope.everyone);
	interceptor_free_scope(&scope);
}

static void without_a_propagation_nobody_is_selected(void **state)
{
	struct interception_scope scope;

	(void)state;
	scope_of("", NULL, &scope);
	assert_false(scope.everyone);
	assert_int_equal(scope.pod_count, 0);
	interceptor_free_scope(&scope);
}

static void labels_select_pods(void **state)
{
	static const char *const wanted[] = {"10.0.0.2", "10.0.0.3"};
	struct interception_scope scope;

	(void)state;
	scope_of(for_app_a, NULL, &scope);
	assert_false(scope.everyone);
	assert_pods(&scope, wanted, 2);
	interceptor_free_scope(&scope);
}

static void namespaces_select_pods(void **state)
{
	static const char *const in_shop[] = {"10.0.0.1", "10.0.0.2"};
	struct interception_scope scope;

	(void)state;
	scope_of(for_all, "shop", &scope);
	assert_false(scope.everyone);
	assert_pods(&scope, in_shop, 2);
	interceptor_free_scope(&scope);
	scope_of(for_app_a, "shop", &scope);
	assert_pods(&scope, in_shop + 1, 1);
	interceptor_free_scope(&scope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_http_services_are_destinations),
		cmocka_unit_test(who_selects_no_labels_selects_everyone),
		cmocka_unit_test(without_a_propagation_nobody_is_selected),
		cmocka_unit_test(labels_select_pods),
		cmocka_unit_test(namespaces_select_pods),
	};

	return cmocka_run_group_tests_name("interception", tests, NULL, NULL);
}
