/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/access.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"

static char directory[] = "/tmp/lanetag-access-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static const char config[] =
	"apiVersion: v1\n"
	"kind: Config\n"
	"current-context: one\n"
	"contexts:\n"
	"- {name: one, context: {cluster: a, user: file, namespace: shop}}\n"
	"- {name: two, context: {cluster: b, user: data}}\n"
	"- {name: three, context: {cluster: a, user: plugin}}\n"
	"- {name: four, context: {cluster: none, user: file}}\n"
	"- {name: five, context: {cluster: plain, user: file}}\n"
	"- {name: six, context: {cluster: broken, user: file}}\n"
	"clusters:\n"
	"- name: a\n"
	"  cluster: {server: 'https://10.0.0.1:6443/', certificate-authority: pki/ca.crt}\n"
	"- name: b\n"
	"  cluster: {server: 'https://b:6443/k8s', certificate-authority-data: Q0E=,\n"
	"            tls-server-name: kubernetes}\n"
	"- {name: plain, cluster: {server: 'http://10.0.0.1'}}\n"
	"- {name: broken, cluster: {server: 'https://c', certificate-authority-data: '%%%'}}\n"
	"users:\n"
	"- {name: file, user: {tokenFile: /run/token}}\n"
	"- {name: data, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}\n"
	"- {name: plugin, user: {exec: {command: aws}}}\n";

static void reads_the_current_context(void **state)
{
	struct kubernetes_access access;
	struct buffer why = {0};

	(void)state;
	assert_int_equal(kubernetes_access_of_kubeconfig(path_of("config"), NULL, &access, &why),
			 0);
	assert_string_equal(access.server, "https://10.0.0.1:6443");
	assert_string_equal(access.authority.file, path_of("pki/ca.crt"));
	assert_string_equal(access.token.file, "/run/token");
	assert_string_equal(access.namespace, "shop");
	assert_false(access.insecure);
	kubernetes_access_free(&access);
	buffer_free(&why);
}

static void reads_what_is_written_in_it(void **state)
{
	struct kubernetes_access access;
	struct buffer why = {0};

	(void)state;
	assert_int_equal(kubernetes_access_of_kubeconfig(path_of("config"), "two", &access, &why),
			 0);
	assert_string_equal(access.server, "https://b:6443/k8s");
	assert_string_equal(access.server_name, "kubernetes");
	assert_string_equal(access.authority.text, "CA");
	assert_string_equal(access.certificate.text, "CERT");
	assert_string_equal(access.key.text, "KEY");
	assert_null(access.token.text);
	kubernetes_access_free(&access);
	buffer_free(&why);
}

static void says_what_is_wrong(void **state)
{
	static const struct {
		const char *context, *why;
	} rows[] = {
		{"three", "the user's exec is not supported"},
		{"four", "there is no cluster \"none\""},
		{"five", "the cluster's server must be https://"},
		{"six", "certificate-authority-data: is not base64"},
		{"seven", "there is no context \"seven\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct kubernetes_access access;
		struct buffer why = {0};

		assert_int_equal(kubernetes_access_of_kubeconfig(path_of("config"), rows[i].context,
								 &access, &why),
				 -1);
		if (!strstr(buffer_text(&why), rows[i].why))
			fail_msg("%s: %s", rows[i].context, buffer_text(&why));
		kubernetes_access_free(&access);
		buffer_free(&why);
	}
}

static void a_file_that_is_none_is_refused(void **state)
{
	static const char *const texts[] = {"",
					    "[",
					    "- 1\n",
					    "contexts: 5\ncurrent-context: x\n",
					    "users: {a: b}\n",
					    "current-context: [1]\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct kubernetes_access access;
		struct buffer why = {0};

		write_file("bad", texts[i]);
		assert_int_equal(
			kubernetes_access_of_kubeconfig(path_of("bad"), NULL, &access, &why), -1);
		assert_true(why.length > 0);
		kubernetes_access_free(&access);
		buffer_free(&why);
	}
}

static void a_pod_has_its_service_account(void **state)
{
	struct kubernetes_access access;
	struct buffer why = {0}, token = {0};

	(void)state;
	write_file("token", "first\n");
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(kubernetes_access_of_pod(directory, &access, &why), -1);
	assert_non_null(strstr(buffer_text(&why), "KUBERNETES_SERVICE_HOST"));
	kubernetes_access_free(&access);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(kubernetes_access_of_pod(directory, &access, &why), 0);
	assert_string_equal(access.server, "https://[fd00::1]:443");
	assert_int_equal(kubernetes_text_read(&access.token, &token), 0);
	assert_string_equal(buffer_text(&token), "first");
	/* The kubelet replaces it. */
	write_file("token", "second\n");
	assert_int_equal(kubernetes_text_read(&access.token, &token), 0);
	assert_string_equal(buffer_text(&token), "second");
	assert_int_equal(unlink(path_of("token")), 0);
	assert_int_equal(kubernetes_text_read(&access.token, &token), -ENOENT);
	kubernetes_access_free(&access);
	buffer_free(&token);
	buffer_free(&why);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	write_file("config", config);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path_of("config"));
	unlink(path_of("bad"));
	unlink(path_of("token"));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_current_context),
		cmocka_unit_test(reads_what_is_written_in_it),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(a_file_that_is_none_is_refused),
		cmocka_unit_test(a_pod_has_its_service_account),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
