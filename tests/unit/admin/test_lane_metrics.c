/* SPDX-License-Identifier: GPL-2.0-only */
/* How much a scrape tells of lanes. */
#include "unit/manifest/manifest_test.h"

#include "admin/lane_metrics.h"

#define RULES 64
#define VALUES 16

static struct admin_snapshot *snapshot_start(size_t detailed_lanes)
{
	struct admin_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct diagnostics diagnostics = {0};
	struct buffer text = {0};

	buffer_append_text(&text, "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\n"
				  "metadata: {name: tags}\nspec:\n  pluginConfig:\n    rules:\n");
	for (int i = 0; i < RULES; i++) {
		buffer_printf(&text,
			      "    - {header: x-user-id, modulo: 1000, tagHeader: appver-%d, "
			      "policies: [",
			      i);
		for (int j = 0; j < VALUES; j++)
			buffer_printf(&text, "%s{range: %d, tagValue: v%d}", j ? ", " : "",
				      50 * (j + 1), j);
		buffer_append_text(&text, "]}\n");
	}
	const struct manifest_file file = {"a.yaml", text.data, text.length};
	snapshot->configuration =
		configuration_load_files(&file, 1, MANIFEST_TAGS, 1, &diagnostics);
	assert_non_null(snapshot->configuration);
	snapshot->kernel_active = true;
	snapshot->detailed_lanes = detailed_lanes;
	diagnostics_free(&diagnostics);
	buffer_free(&text);
	return snapshot;
}

static void snapshot_stop(struct admin_snapshot *snapshot)
{
	configuration_drop(snapshot->configuration);
	free(snapshot);
}

static size_t count(struct buffer *text, const char *what)
{
	size_t found = 0;

	for (const char *at = strstr(buffer_text(text), what); at; at = strstr(at + 1, what))
		found++;
	return found;
}

static void a_scrape_stays_small_with_very_many_lanes(void **state)
{
	struct admin_snapshot *snapshot = snapshot_start(64);
	struct buffer out = {0};

	(void)state;
	lane_metrics_write(snapshot, &out);
	assert_in_range(out.length, 100000, 450000);
	/* Requests of all lanes, the rest of the first rules. */
	assert_int_equal(count(&out, "lanetag_lane_requests_total{"), 2 * RULES * (VALUES + 1));
	assert_int_equal(count(&out, "lanetag_lane_request_duration_seconds_count{"),
			 64 / (VALUES + 1) * (VALUES + 1));
	assert_int_equal(count(&out, "lanetag_lanes_without_detail 1037\n"), 1);
	buffer_free(&out);
	snapshot_stop(snapshot);
}

static void all_is_told_of_as_many_as_are_asked_for(void **state)
{
	struct admin_snapshot *snapshot = snapshot_start(RULES * (VALUES + 1));
	struct buffer out = {0};

	(void)state;
	lane_metrics_write(snapshot, &out);
	assert_int_equal(count(&out, "lanetag_lane_request_duration_seconds_count{"),
			 RULES * (VALUES + 1));
	assert_int_equal(count(&out, "lanetag_lanes_without_detail 0\n"), 1);
	buffer_free(&out);
	snapshot_stop(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scrape_stays_small_with_very_many_lanes),
		cmocka_unit_test(all_is_told_of_as_many_as_are_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
