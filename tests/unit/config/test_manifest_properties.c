/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A short and repeatable run of what `make fuzz` does for long: manifests of the fuzzer's corpus,
 * changed at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>

#include "fuzz/manifest_properties.h"
#include "unit/manifest/mutation.h"

#define CORPUS "tests/fuzz/corpus/manifest"
#define CHANGED 600 /* of each */

static struct buffer inputs[16];
static size_t input_count;

static void read_file(const char *name)
{
	char path[512], text[16384];

	snprintf(path, sizeof(path), CORPUS "/%s", name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t length = fread(text, 1, sizeof(text), file);
	fclose(file);
	assert_in_range(length, 1, sizeof(text) - 1);
	buffer_append(&inputs[input_count++], text, length);
}

static int read_corpus(void **state)
{
	struct dirent **entries;
	int count = scandir(CORPUS, &entries, NULL, alphasort); /* the same order everywhere */

	(void)state;
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.' && input_count < ARRAY_LENGTH(inputs))
			read_file(entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return input_count ? 0 : -1;
}

static int free_corpus(void **state)
{
	(void)state;
	for (size_t i = 0; i < input_count; i++)
		buffer_free(&inputs[i]);
	return 0;
}

static void every_manifest_of_the_corpus_is_in_force_and_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < input_count; i++) {
		struct diagnostics diagnostics = {0};
		char name[] = "corpus.yaml";
		struct manifest_file file = {name, inputs[i].data, inputs[i].length};
		struct configuration *configuration =
			configuration_load_files(&file, 1, MANIFEST_ALL, 1, &diagnostics);

		diagnostics_print(&diagnostics, stderr);
		assert_non_null(configuration);
		check_in_force(configuration);
		configuration_drop(configuration);
		diagnostics_free(&diagnostics);
	}
}

static void changed_manifests_hold(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (size_t i = 0; i < input_count; i++) {
		for (unsigned round = 0; round < CHANGED; round++) {
			struct buffer text = {0};

			buffer_append_span(&text, buffer_span(&inputs[i]));
			for (int j = rand_r(&seed) % 3; j >= 0; j--)
				mutate(&text, &seed);
			check_manifest(text.data, text.length);
			buffer_free(&text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_manifest_of_the_corpus_is_in_force_and_holds),
		cmocka_unit_test(changed_manifests_hold),
	};

	return cmocka_run_group_tests(tests, read_corpus, free_corpus);
}
