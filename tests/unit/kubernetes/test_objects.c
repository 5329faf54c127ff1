/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/objects.h"

#include <errno.h>

#include "base/array.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "manifest/node.h"
#include "recorded.h"

static const char *const versions[] = {"v1", NULL};
static const struct manifest_kind virtual_service = {"networking.istio.io", "VirtualService",
						     versions, MANIFEST_ROUTES};

static struct node **read_yaml(const char *text, size_t *ret_count)
{
	struct diagnostics diagnostics = {0};
	struct node **documents;

	*ret_count = nodes_read_memory("x", span_of(text), &diagnostics, &documents);
	if (diagnostics.error_count)
		fail_msg("%s: %s", text, diagnostics.items[0].text);
	diagnostics_free(&diagnostics);
	return documents;
}

static char *object_with(const char *value)
{
	json_t *item = json_pack("{s:{s:s,s:s},s:{s:s}}", "metadata", "name", "n", "namespace", "d",
				 "spec", "x", value);
	struct kubernetes_object object;

	assert_non_null(item);
	assert_int_equal(kubernetes_object_read(&virtual_service, "v1", item, &object), 0);
	json_decref(item);
	free(object.name);
	free(object.namespace);
	return object.text;
}

/* A text of the API server's comes through YAML as it was. */
static void check_text(const char *value)
{
	char *text = object_with(value);
	size_t count;
	struct node **documents = read_yaml(text, &count);

	assert_int_equal(count, 1);
	struct node *read = node_get(node_get(documents[0], "spec"), "x");
	assert_non_null(read);
	assert_false(read->plain);
	if (!span_equal(read->text, span_of(value)))
		fail_msg("%s came as %.*s", text, SPAN_ARGUMENTS(read->text));
	assert_null(strchr(text, '\n'));
	nodes_free(documents, count);
	free(text);
}

static void append_character(struct buffer *text, uint32_t character)
{
	if (character < 0x80) {
		buffer_append_byte(text, (char)character);
	} else if (character < 0x800) {
		buffer_append_byte(text, (char)(0xc0 | character >> 6));
		buffer_append_byte(text, (char)(0x80 | (character & 0x3f)));
	} else if (character < 0x10000) {
		buffer_append_byte(text, (char)(0xe0 | character >> 12));
		buffer_append_byte(text, (char)(0x80 | (character >> 6 & 0x3f)));
		buffer_append_byte(text, (char)(0x80 | (character & 0x3f)));
	} else {
		buffer_append_byte(text, (char)(0xf0 | character >> 18));
		buffer_append_byte(text, (char)(0x80 | (character >> 12 & 0x3f)));
		buffer_append_byte(text, (char)(0x80 | (character >> 6 & 0x3f)));
		buffer_append_byte(text, (char)(0x80 | (character & 0x3f)));
	}
}

static void every_character_comes_as_it_was(void **state)
{
	struct buffer text = {0};

	(void)state;
	for (uint32_t first = 1; first < 0x11000; first += 0x100) {
		buffer_clear(&text);
		for (uint32_t i = first; i < first + 0x100; i++) {
			if (i < 0xd800 || i > 0xdfff)
				append_character(&text, i);
		}
		if (text.length)
			check_text(buffer_text(&text));
	}
	buffer_free(&text);
}

static void texts_at_random_come_as_they_were(void **state)
{
	static const uint32_t often[] = {' ', '"', '\\', '\n',	 '\t',	'#',
					 ':', '-', 0x85, 0x2028, 0xfeff};
	struct buffer text = {0};

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t length = 1 + (size_t)rand() % 40;

		buffer_clear(&text);
		for (size_t i = 0; i < length; i++)
			append_character(&text,
					 rand() % 2 ? often[(size_t)rand() % ARRAY_LENGTH(often)]
						    : 1 + (uint32_t)rand() % 0xd000);
		check_text(buffer_text(&text));
	}
	buffer_free(&text);
}

static void labels_that_look_like_numbers_are_texts(void **state)
{
	(void)state;
	check_text("0b8c8658a");
	check_text("3977e9113");
	check_text("true");
	check_text("");
}

static void fractions_stay_as_they_are_written(void **state)
{
	json_t *item = json_loads("{\"metadata\":{\"name\":\"n\",\"namespace\":\"d\"},"
				  "\"spec\":{\"x\":0.1,\"y\":33.3,\"z\":5}}",
				  0, NULL);
	struct kubernetes_object object;

	(void)state;
	assert_int_equal(kubernetes_object_read(&virtual_service, "v1", item, &object), 0);
	assert_non_null(strstr(object.text, "\"x\": 0.1, \"y\": 33.3, \"z\": 5}"));
	json_decref(item);
	kubernetes_object_free(&object);
}

static void put(struct kubernetes_objects *objects, const char *namespace, const char *name,
		const char *text, bool wanted)
{
	struct kubernetes_object object = {strdup(namespace), strdup(name), strdup(text)};
	bool changed;

	assert_int_equal(kubernetes_objects_put(objects, &object, &changed), 0);
	assert_int_equal(changed, wanted);
}

static void the_same_again_is_no_change(void **state)
{
	struct kubernetes_objects objects = {0};

	(void)state;
	put(&objects, "b", "x", "1", true);
	put(&objects, "a", "y", "2", true);
	put(&objects, "a", "x", "3", true);
	put(&objects, "a", "y", "2", false);
	put(&objects, "a", "y", "22", true);
	assert_int_equal(objects.count, 3);
	assert_string_equal(objects.items[0].text, "3");
	assert_string_equal(objects.items[2].text, "1");
	assert_int_equal(objects.bytes, 6 + 4);
	assert_false(kubernetes_objects_remove(&objects, "b", "y"));
	assert_true(kubernetes_objects_remove(&objects, "a", "x"));
	assert_int_equal(objects.count, 2);
	kubernetes_objects_free(&objects);
}

/* Puts and removals in any order hold what a plain table would. */
static void holds_what_a_table_would(void **state)
{
	struct kubernetes_objects objects = {0};
	bool there[26] = {false};

	(void)state;
	for (int round = 0; round < 5000; round++) {
		int i = rand() % 26;
		char name[2] = {(char)('a' + i), 0};

		if (rand() % 2) {
			put(&objects, "n", name, "t", !there[i]);
			there[i] = true;
		} else {
			assert_int_equal(kubernetes_objects_remove(&objects, "n", name), there[i]);
			there[i] = false;
		}
	}
	size_t next = 0;
	for (int i = 0; i < 26; i++) {
		if (there[i])
			assert_int_equal(objects.items[next++].name[0], 'a' + i);
	}
	assert_int_equal(objects.count, next);
	assert_int_equal(objects.bytes, 3 * next);
	kubernetes_objects_free(&objects);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_comes_as_it_was),
		cmocka_unit_test(texts_at_random_come_as_they_were),
		cmocka_unit_test(labels_that_look_like_numbers_are_texts),
		cmocka_unit_test(fractions_stay_as_they_are_written),
		cmocka_unit_test(the_same_again_is_no_change),
		cmocka_unit_test(holds_what_a_table_would),
	};
	unsigned seed = (unsigned)clock_now_ns();

	printf("# seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
