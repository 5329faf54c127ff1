/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/saved_state.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorded.h"

#define SCOPE "https://10.96.0.1:443 15"

struct fixture {
	struct random_numbers random;
	struct reflector reflectors[2];
};

static void start(struct fixture *fixture)
{
	static const char *const core[] = {"v1", NULL};
	const struct manifest_kind pod = {"", "Pod", core, MANIFEST_HOSTS};
	const struct manifest_kind service = {"", "Service", core, MANIFEST_HOSTS};

	*fixture = (struct fixture){0};
	reflector_init(&fixture->reflectors[0], &pod, NULL, 300, &fixture->random);
	reflector_init(&fixture->reflectors[1], &service, NULL, 300, &fixture->random);
}

static void end(struct fixture *fixture)
{
	reflector_free(&fixture->reflectors[0]);
	reflector_free(&fixture->reflectors[1]);
}

static void put(struct reflector *reflector, const char *name, const char *text)
{
	struct kubernetes_object object = {strdup("default"), strdup(name), strdup(text)};
	bool changed;

	assert_int_equal(kubernetes_objects_put(&reflector->objects, &object, &changed), 0);
}

static void write_some(struct buffer *text)
{
	struct fixture fixture;

	start(&fixture);
	put(&fixture.reflectors[0], "b", "{\"b\": 1}");
	put(&fixture.reflectors[0], "a", "{\"a\": \"\\t\"}");
	put(&fixture.reflectors[1], "s", "{}");
	saved_state_write(SCOPE, fixture.reflectors, 2, text);
	assert_false(text->failed);
	end(&fixture);
}

static int read_back(struct span text, const char *scope, struct fixture *fixture)
{
	start(fixture);
	return saved_state_read(text, scope, fixture->reflectors, 2);
}

static void what_was_written_is_read(void **state)
{
	struct buffer text = {0};
	struct fixture fixture;

	(void)state;
	write_some(&text);
	assert_int_equal(read_back(buffer_span(&text), SCOPE, &fixture), 0);
	assert_int_equal(fixture.reflectors[0].objects.count, 2);
	assert_string_equal(fixture.reflectors[0].objects.items[0].text, "{\"a\": \"\\t\"}");
	assert_string_equal(fixture.reflectors[1].objects.items[0].name, "s");
	/* It is old: the cluster is still to be asked. */
	assert_false(fixture.reflectors[0].listed);
	end(&fixture);
	buffer_free(&text);
}

static void any_other_byte_makes_it_none(void **state)
{
	struct buffer text = {0};
	struct fixture fixture;

	(void)state;
	write_some(&text);
	for (size_t i = 0; i < text.length; i++) {
		text.data[i] ^= 1;
		assert_int_equal(read_back(buffer_span(&text), SCOPE, &fixture), -EINVAL);
		assert_int_equal(fixture.reflectors[0].objects.count, 0);
		end(&fixture);
		text.data[i] ^= 1;
		assert_int_equal(read_back((struct span){text.data, i}, SCOPE, &fixture), -EINVAL);
		end(&fixture);
	}
	buffer_free(&text);
}

static void another_clusters_state_is_none(void **state)
{
	struct buffer text = {0};
	struct fixture fixture;

	(void)state;
	write_some(&text);
	assert_int_equal(read_back(buffer_span(&text), "https://10.96.0.1:443 15 shop", &fixture),
			 -EINVAL);
	end(&fixture);
	buffer_free(&text);
}

static void a_file_is_replaced_at_once_and_only_its_owner_reads_it(void **state)
{
	char directory[] = "/tmp/lanetag-state-XXXXXX", path[64], link_path[64];
	struct buffer text = {0};
	struct fixture fixture;
	struct stat status;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/state", directory);
	snprintf(link_path, sizeof(link_path), "%s/state.new", directory);
	write_some(&text);
	/* Where another has put a link, that is not followed. */
	assert_int_equal(symlink("/tmp/lanetag-no-such-file", link_path), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(saved_state_store(path, buffer_span(&text)), 0);
	assert_int_not_equal(access("/tmp/lanetag-no-such-file", F_OK), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	start(&fixture);
	assert_int_equal(saved_state_load(path, SCOPE, fixture.reflectors, 2), 0);
	assert_int_equal(fixture.reflectors[0].objects.count, 2);
	end(&fixture);
	assert_int_equal(unlink(path), 0);
	start(&fixture);
	assert_int_equal(saved_state_load(path, SCOPE, fixture.reflectors, 2), -ENOENT);
	end(&fixture);
	assert_int_equal(rmdir(directory), 0);
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(any_other_byte_makes_it_none),
		cmocka_unit_test(another_clusters_state_is_none),
		cmocka_unit_test(a_file_is_replaced_at_once_and_only_its_owner_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
