/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets that share what did not change are those that are read afresh. */
#include "unit/manifest/manifest_test.h"
#include "unit/manifest/mutation.h"

#include "manifest/manifest.h"
#include "manifest/part.h"
#include "manifest/workload.h"

#define POD(name, address)                                                          \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", labels: {app: a}}\n" \
	"spec: {containers: [{name: a, image: a}]}\nstatus: {podIP: " address "}\n"

static const char first_file[] =
	"# of a team\n" POD("a", "10.0.0.1") "---\n" POD("b", "10.0.0.2") "--- # one more\n" POD(
		"c", "10.0.0.3") "---\n"
				 "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
				 "spec: {clusterIP: 10.96.0.1, selector: {app: a}, ports: [{port: "
				 "80, name: http}]}\n"
				 "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: "
				 "m}\ndata:\n  text: |\n    a\n     ---\n    b\n"
				 "---\napiVersion: networking.istio.io/v1\nkind: "
				 "Sidecar\nmetadata: {name: s}\n";
static const char second_file[] =
	"apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: w}\n"
	"spec:\n  pluginConfig:\n    rules:\n"
	"    - {header: x-user-id, modulo: 100, tagHeader: appver-a,"
	" policies: [{range: 10, tagValue: v2}]}\n---\n" POD("d", "10.0.0.4");

struct files {
	struct buffer texts[2];
};

static void read_files(const struct files *files, bool shares, const struct manifest_set *previous,
		       struct diagnostics *diagnostics, struct manifest_set *set)
{
	struct manifest_file objects[2] = {
		{"one.yaml", files->texts[0].data, files->texts[0].length},
		{"two.yaml", files->texts[1].data, files->texts[1].length},
	};
	const struct manifest_input input = {
		.objects = objects, .object_count = 2, .shares = shares, .previous = previous};

	*diagnostics = (struct diagnostics){0};
	manifest_set_read_input(&input, MANIFEST_ALL, diagnostics, set);
}

static void print_set(const struct manifest_set *set, const struct diagnostics *diagnostics,
		      struct buffer *out)
{
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	diagnostics_print(diagnostics, stream);
	fclose(stream);
	buffer_append_text(out, text);
	free(text);
	buffer_printf(out, "%zu %zu %zu %zu %zu %zu %zu\n", set->wasm_plugin_count,
		      set->header_propagation_count, set->gateway_count, set->virtual_service_count,
		      set->destination_rule_count, set->service_count, set->workload_count);
	for (size_t i = 0; i < set->workload_count; i++) {
		const struct workload_manifest *pod = &set->workloads[i];

		buffer_printf(out, "%s %s:%u:%u %u\n", pod->resource.name, pod->resource.place.file,
			      pod->resource.place.line, pod->resource.place.column,
			      pod->address[15]);
	}
	for (size_t i = 0; i < set->passed_over_count; i++)
		buffer_printf(out, "%s %s %zu\n", set->passed_over[i].api_version,
			      set->passed_over[i].kind, set->passed_over[i].count);
	for (size_t i = 0; i < set->file_count; i++)
		buffer_printf(out, "%s %zu\n", set->files[i].name, set->files[i].length);
	buffer_append_byte(out, '\0');
}

static void start_files(struct files *files)
{
	*files = (struct files){0};
	buffer_append_text(&files->texts[0], first_file);
	buffer_append_text(&files->texts[1], second_file);
}

static void free_files(struct files *files)
{
	buffer_free(&files->texts[0]);
	buffer_free(&files->texts[1]);
}

static void what_did_not_change_is_shared(void **state)
{
	struct diagnostics diagnostics;
	struct manifest_set old, new;
	struct files files;
	size_t shared = 0;

	(void)state;
	start_files(&files);
	read_files(&files, true, NULL, &diagnostics, &old);
	assert_int_equal(diagnostics.error_count, 0);
	diagnostics_free(&diagnostics);
	assert_int_equal(old.part_count, 8);
	*strstr(files.texts[0].data, "10.0.0.2") = '9';
	read_files(&files, true, &old, &diagnostics, &new);
	diagnostics_free(&diagnostics);
	for (size_t i = 0; i < new.part_count; i++)
		shared += new.parts[i] == old.parts[i];
	assert_int_equal(new.part_count, 8);
	assert_int_equal(shared, 7);
	manifest_set_free(&old);
	assert_int_equal(new.workload_count, 4);
	assert_string_equal(new.workloads[3].resource.name, "d");
	assert_int_equal(new.workloads[1].address[12], 90);
	manifest_set_free_all_but_rules(&new);
	assert_int_equal(new.part_count, 1);
	manifest_set_free(&new);
	free_files(&files);
}

static void a_set_of_other_subjects_shares_nothing(void **state)
{
	struct diagnostics diagnostics;
	struct manifest_set old, new;
	struct files files;

	(void)state;
	start_files(&files);
	read_files(&files, true, NULL, &diagnostics, &old);
	diagnostics_free(&diagnostics);
	const struct manifest_file object = {"one.yaml", files.texts[0].data,
					     files.texts[0].length};
	const struct manifest_input input = {
		.objects = &object, .object_count = 1, .shares = true, .previous = &old};
	manifest_set_read_input(&input, MANIFEST_TAGS, &diagnostics, &new);
	assert_int_equal(new.workload_count, 0);
	diagnostics_free(&diagnostics);
	manifest_set_free(&new);
	manifest_set_free(&old);
	free_files(&files);
}

static void sharing_changes_nothing_of_what_is_read(void **state)
{
	const unsigned first_seed = 20261201;

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		struct manifest_set sets[2] = {{0}}, fresh;
		struct diagnostics diagnostics;
		unsigned seed = first_seed + round;
		struct files files;

		start_files(&files);
		for (unsigned step = 0; step < 4; step++) {
			struct buffer one = {0}, other = {0};

			for (int changes = rand_r(&seed) % 3; step && changes > 0; changes--)
				mutate(&files.texts[(size_t)rand_r(&seed) % 2], &seed);
			read_files(&files, false, NULL, &diagnostics, &fresh);
			print_set(&fresh, &diagnostics, &one);
			diagnostics_free(&diagnostics);
			manifest_set_free(&fresh);
			read_files(&files, true, step ? &sets[(step - 1) % 2] : NULL, &diagnostics,
				   &sets[step % 2]);
			print_set(&sets[step % 2], &diagnostics, &other);
			diagnostics_free(&diagnostics);
			if (strcmp(one.data, other.data) != 0)
				fail_msg("seed %u, step %u:\n%s---- shared:\n%s---- of\n%.*s%.*s",
					 first_seed + round, step, one.data, other.data,
					 (int)files.texts[0].length, files.texts[0].data,
					 (int)files.texts[1].length, files.texts[1].data);
			if (step)
				manifest_set_free(&sets[(step - 1) % 2]);
			buffer_free(&one);
			buffer_free(&other);
		}
		manifest_set_free(&sets[3 % 2]);
		free_files(&files);
	}
}

static void documents_are_cut_where_yaml_begins_them(void **state)
{
	static const struct {
		const char *text;
		bool can_split;
		size_t documents;
	} rows[] = {
		{"a: 1\n", true, 1},
		{"a: 1\n---\nb: 2\n", true, 2},
		{"---\na: 1\n---", true, 2},
		{"a: |\n  x\n ---\n---x: 1\n--- b\n", true, 2},
		{"a: &b 1\n---\nc: *b\n", false, 0},
		{"%YAML 1.1\n---\na: 1\n", false, 0},
		{"a: 1\n...\nb: 2\n", false, 0},
		{"a: 1\r\n---\r\nb: 2\r\n", false, 0},
		{"a: \xc2\x85---\nb: 2\n", false, 0},
		{"a: \xe2\x80\xa8---\nb: 2\n", false, 0},
		{"\xef\xbb\xbf"
		 "a: 1\n",
		 false, 0},
		{"", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct span rest = span_of(rows[i].text), document;
		size_t count = 0;

		assert_int_equal(manifest_text_can_split(rest), rows[i].can_split);
		while (rows[i].can_split && manifest_next_document(&rest, &document))
			count++;
		assert_int_equal(count, rows[i].documents);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_did_not_change_is_shared),
		cmocka_unit_test(a_set_of_other_subjects_shares_nothing),
		cmocka_unit_test(sharing_changes_nothing_of_what_is_read),
		cmocka_unit_test(documents_are_cut_where_yaml_begins_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
