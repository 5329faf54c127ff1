/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit/manifest/manifest_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct reading {
	struct diagnostics diagnostics;
	struct node **documents;
	size_t count;
};

static struct reading read_span(struct span text)
{
	struct reading reading = {0};

	reading.count = nodes_read_memory("a.yaml", text, &reading.diagnostics, &reading.documents);
	return reading;
}

static struct reading read_text(const char *text)
{
	return read_span(span_of(text));
}

static void done(struct reading *reading)
{
	nodes_free(reading->documents, reading->count);
	diagnostics_free(&reading->diagnostics);
}

static void nodes_know_where_they_stand(void **state)
{
	struct reading reading =
		read_text("# comment\nspec:\n  hosts:\n    - one\n    - \"two\"\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.count, 1);
	struct node *hosts = node_get(node_get(reading.documents[0], "spec"), "hosts");
	assert_int_equal(hosts->kind, NODE_SEQUENCE);
	assert_int_equal(hosts->count, 2);
	assert_int_equal(hosts->items[1]->place.line, 5);
	assert_int_equal(hosts->items[1]->place.column, 7);
	assert_string_equal(hosts->items[1]->place.file, "a.yaml");
	assert_true(hosts->items[0]->plain);
	assert_false(hosts->items[1]->plain);
	done(&reading);
}

static void empty_documents_are_left_out(void **state)
{
	struct reading reading = read_text("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.count, 2);
	assert_non_null(node_get(reading.documents[1], "b"));
	done(&reading);
}

static void an_empty_file_has_no_document(void **state)
{
	struct reading reading = read_text("");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	assert_int_equal(reading.count, 0);
	done(&reading);
}

static void malformed_yaml_is_named_by_line_and_column(void **state)
{
	struct reading reading = read_text("a: 1\n---\nb: [1, 2\nc: 3\n");

	(void)state;
	assert_int_equal(reading.count, 1);
	assert_int_equal(reading.diagnostics.error_count, 1);
	assert_said(&reading.diagnostics, "a.yaml:4:");
	done(&reading);
}

static void bytes_that_are_no_utf8_are_named_by_line(void **state)
{
	struct reading reading = read_text("a: 1\nb: \"\xff\"\n");

	(void)state;
	assert_said(&reading.diagnostics, "a.yaml:2:5: YAML: ");
	done(&reading);
}

static void a_key_that_stands_twice_is_an_error_at_the_second(void **state)
{
	struct reading reading = read_text("spec:\n  a: 1\n  b: 2\n  a: 3\n---\nb: 1\n");

	(void)state;
	assert_said(&reading.diagnostics,
		    "a.yaml:4:3: the key \"a\" stands twice, first in line 2");
	/* What is behind it can be read. */
	assert_int_equal(reading.count, 2);
	assert_true(nodes_are_whole(reading.documents));
	done(&reading);
}

static void an_alias_stands_for_what_its_anchor_holds(void **state)
{
	struct reading reading = read_text("a: &x {b: 1}\nc: *x\n");

	(void)state;
	assert_nothing_said(&reading.diagnostics);
	struct node *c = node_get(reading.documents[0], "c");
	assert_true(span_equal(node_get(c, "b")->text, span_of("1")));
	assert_int_equal(c->place.line, 2);
	done(&reading);
}

static void an_alias_to_nothing_or_to_itself_is_an_error(void **state)
{
	struct reading nothing = read_text("a: *x\n");
	struct reading itself = read_text("a: &x [*x]\n");

	(void)state;
	assert_int_equal(nothing.diagnostics.error_count, 1);
	assert_said(&itself.diagnostics, "a.yaml:1:8: ");
	done(&nothing);
	done(&itself);
}

static void an_alias_bomb_is_refused(void **state)
{
	struct buffer text = {0};

	(void)state;
	buffer_append_text(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 12; i++) {
		buffer_printf(&text, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			buffer_printf(&text, "%s*a%d", j ? ", " : "", i - 1);
		buffer_append_text(&text, "]\n");
	}
	struct reading reading = read_text(buffer_text(&text));
	assert_int_equal(reading.count, 0);
	assert_said(&reading.diagnostics, "too many values");
	done(&reading);
	buffer_free(&text);
}

static void deep_nesting_is_refused(void **state)
{
	char text[5001];

	(void)state;
	memset(text, '[', 5000);
	text[5000] = '\0';
	struct reading reading = read_text(text);
	assert_int_equal(reading.count, 0);
	assert_said(&reading.diagnostics, "nested too deeply");
	done(&reading);
}

static void keys_that_are_no_text_and_merge_keys_are_refused(void **state)
{
	struct reading list = read_text("[1, 2]: 3\n");
	struct reading merge = read_text("a: &x {b: 1}\nc:\n  <<: *x\n");

	(void)state;
	assert_said(&list.diagnostics, "a key must be a plain text");
	assert_said(&merge.diagnostics, "a.yaml:3:3: merge keys (<<) are not supported");
	done(&list);
	done(&merge);
}

static void null_is_null_only_without_quotes(void **state)
{
	struct reading reading = read_text("{a: null, b: ~, c: , d: \"\", e: 'null', f: []}");

	(void)state;
	assert_int_equal(reading.count, 1);
	struct node *map = reading.documents[0];
	assert_true(node_is_null(node_get(map, "a")));
	assert_true(node_is_null(node_get(map, "b")));
	assert_true(node_is_null(node_get(map, "c")));
	assert_true(node_is_null(node_get(map, "absent")));
	assert_false(node_is_null(node_get(map, "d")));
	assert_false(node_is_null(node_get(map, "e")));
	assert_false(node_is_null(node_get(map, "f")));
	done(&reading);
}

static void every_cut_and_every_flipped_byte_of_a_manifest_ends_well(void **state)
{
	static const char text[] =
		"a: &x [1, {b: 'c'}]\nd: *x\ne: |\n  text\n---\nf: \"\\u00e9\"\n";
	char copy[sizeof(text)];

	(void)state;
	for (size_t length = 0; length < sizeof(text); length++) {
		struct reading cut = read_span((struct span){text, length});
		done(&cut);
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, text, sizeof(text));
			copy[length] ^= (char)(1 << bit);
			struct reading flipped = read_span((struct span){copy, sizeof(text) - 1});
			done(&flipped);
		}
	}
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	struct reading reading = {0};

	(void)state;
	reading.count =
		nodes_read_file("/nonexistent/a.yaml", &reading.diagnostics, &reading.documents);
	assert_int_equal(reading.count, 0);
	assert_said(&reading.diagnostics, "/nonexistent/a.yaml: cannot read: ");
	done(&reading);
}

/* Would the reader wait for a writer, nothing would ever end it. */
static void a_fifo_is_refused_at_once(void **state)
{
	struct reading reading = {0};
	char path[] = "/tmp/lanetag-fifo-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	int writer = open(path, O_RDWR);
	assert_true(writer >= 0);
	alarm(10);
	reading.count = nodes_read_file(path, &reading.diagnostics, &reading.documents);
	alarm(0);
	assert_int_equal(reading.count, 0);
	assert_string_equal(reading.diagnostics.items[0].text,
			    "cannot read: neither a file nor a pipe");
	done(&reading);
	close(writer);
	assert_int_equal(unlink(path), 0);
}

static void a_shells_pipe_is_read_to_its_end(void **state)
{
	struct reading reading = {0};
	char path[32];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		usleep(20000);
		dprintf(ends[1], "a: 1\n");
		usleep(20000);
		dprintf(ends[1], "b: 2\n");
		_exit(0);
	}
	close(ends[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	reading.count = nodes_read_file(path, &reading.diagnostics, &reading.documents);
	close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(reading.count, 1);
	assert_int_equal(reading.documents[0]->count, 2);
	done(&reading);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_know_where_they_stand),
		cmocka_unit_test(empty_documents_are_left_out),
		cmocka_unit_test(an_empty_file_has_no_document),
		cmocka_unit_test(malformed_yaml_is_named_by_line_and_column),
		cmocka_unit_test(bytes_that_are_no_utf8_are_named_by_line),
		cmocka_unit_test(a_key_that_stands_twice_is_an_error_at_the_second),
		cmocka_unit_test(an_alias_stands_for_what_its_anchor_holds),
		cmocka_unit_test(an_alias_to_nothing_or_to_itself_is_an_error),
		cmocka_unit_test(an_alias_bomb_is_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(keys_that_are_no_text_and_merge_keys_are_refused),
		cmocka_unit_test(null_is_null_only_without_quotes),
		cmocka_unit_test(every_cut_and_every_flipped_byte_of_a_manifest_ends_well),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(a_fifo_is_refused_at_once),
		cmocka_unit_test(a_shells_pipe_is_read_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
