/* SPDX-License-Identifier: GPL-2.0-only */
/* A reload: what did not change is not read again. */
#include <stdlib.h>

#include "growth/growth.h"
#include "config/configuration.h"

struct reload_work {
	struct buffer text;
	struct configuration *previous;
};

static struct configuration *read_text(const struct reload_work *work,
				       const struct manifest_set *previous)
{
	struct manifest_file object = {"a.yaml", work->text.data, work->text.length}, *files;
	const struct manifest_input input = {
		.objects = &object, .object_count = 1, .shares = true, .previous = previous};
	struct diagnostics diagnostics = {0};
	struct configuration *configuration;
	size_t count;

	configuration = configuration_read_tolerant(&input, NULL, 1, &diagnostics, &files, &count);
	diagnostics_print(&diagnostics, stderr);
	diagnostics_free(&diagnostics);
	manifest_files_free(files, count);
	return configuration;
}

static void *prepare(const struct growth_curve *curve, size_t size)
{
	struct reload_work *work = calloc(1, sizeof(*work));

	(void)curve;
	buffer_append_text(&work->text, "apiVersion: v1\nkind: Service\nmetadata: {name: app}\n"
					"spec: {clusterIP: 10.96.0.1, selector: {app: app}, ports: "
					"[{port: 80, name: http}]}\n");
	for (size_t i = 0; i < size; i++)
		buffer_printf(&work->text,
			      "---\napiVersion: v1\nkind: Pod\nmetadata: {name: app-%05zu, labels: "
			      "{app: app}}\n"
			      "spec: {containers: [{name: app, image: app}]}\nstatus: {podIP: "
			      "10.1.%zu.%zu}\n",
			      i, i >> 8, 100 + (i & 127));
	work->previous = read_text(work, NULL);
	return work->previous ? work : NULL;
}

/* Another address for the last pod. */
static bool run(void *context)
{
	struct reload_work *work = context;
	char *digit = work->text.data + work->text.length - 3;

	*digit = *digit == '1' ? '2' : '1';
	struct configuration *next = read_text(work, &work->previous->manifests);
	if (!next)
		return false;
	configuration_drop(work->previous);
	work->previous = next;
	return true;
}

static void release(void *context)
{
	struct reload_work *work = context;

	configuration_drop(work->previous);
	buffer_free(&work->text);
	free(work);
}

static const struct growth_curve curves[] = {
	{
		.name = "pods at a reload that changes one of them",
		.prepare = prepare,
		.run = run,
		.release = release,
		.small = 500,
		.large = 5000,
		.order = GROWTH_LINEAR,
		.at_most = 14,	  /* they are sorted */
		.per_unit = 6000, /* reading one takes 90,000 */
	},
};

int main(int argc, char **argv)
{
	return growth_main(curves, sizeof(curves) / sizeof(curves[0]), argc, argv);
}
