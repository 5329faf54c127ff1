/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "manifest/api_route.h"
#include "manifest/destination_rule.h"
#include "manifest/directory.h"
#include "manifest/gateway.h"
#include "manifest/header_propagation.h"
#include "manifest/part.h"
#include "manifest/reference_grant.h"
#include "manifest/service.h"
#include "manifest/unenforced.h"
#include "manifest/virtual_service.h"
#include "manifest/wasm_plugin.h"
#include "manifest/workload.h"

#define MAX_PASSED_OVER_KINDS 1000 /* they are searched one by one */
#define MAX_DIRECTORY_READS 10	   /* while commands change it */

/*
 * Reading one document of a kind into the set. ADD_MANIFEST makes these functions, all alike: room
 * at the array's end, read, and the room given back if there is nothing to keep.
 */
#define ADD_MANIFEST(function, read, array, counter)                                      \
	static int function(struct manifest_set *set, const struct node *document,        \
			    struct diagnostics *diagnostics)                              \
	{                                                                                 \
		__typeof__(set->array) manifest = ARRAY_APPEND(set->array, set->counter); \
		if (!manifest)                                                            \
			return -ENOMEM;                                                   \
		if (read(document, diagnostics, manifest))                                \
			set->counter--;                                                   \
		return 0;                                                                 \
	}

ADD_MANIFEST(add_wasm_plugin, wasm_plugin_read, wasm_plugins, wasm_plugin_count)
ADD_MANIFEST(add_header_propagation, header_propagation_read, header_propagations,
	     header_propagation_count)
ADD_MANIFEST(add_gateway, gateway_read, gateways, gateway_count)
ADD_MANIFEST(add_api_gateway, gateway_api_gateway_read, gateways, gateway_count)
ADD_MANIFEST(add_api_route, api_route_read, virtual_services, virtual_service_count)
ADD_MANIFEST(add_reference_grant, reference_grant_read, reference_grants, reference_grant_count)
ADD_MANIFEST(add_virtual_service, virtual_service_read, virtual_services, virtual_service_count)
ADD_MANIFEST(add_destination_rule, destination_rule_read, destination_rules, destination_rule_count)
ADD_MANIFEST(add_service, service_read, services, service_count)
ADD_MANIFEST(add_service_entry, service_entry_read, services, service_count)
ADD_MANIFEST(add_pod, pod_read, workloads, workload_count)
ADD_MANIFEST(add_workload_entry, workload_entry_read, workloads, workload_count)

/* Istio's versions are the same to us. */
static const char *const istio_versions[] = {"v1alpha3", "v1beta1", "v1", NULL};
static const char *const extension_versions[] = {"v1alpha1", "v1beta1", "v1", NULL};
static const char *const api_versions[] = {"v1alpha2", "v1beta1", "v1", NULL};
static const char *const core_versions[] = {"v1", NULL};

static const struct our_kind {
	const char *group;
	const char *kind;
	const char *const *versions;
	enum manifest_subject subject;
	int (*add)(struct manifest_set *set, const struct node *document,
		   struct diagnostics *diagnostics);
} our_kinds[] = {
	{"extensions.istio.io", "WasmPlugin", extension_versions, MANIFEST_TAGS, add_wasm_plugin},
	{"istio.alibabacloud.com", "ASMHeaderPropagation", extension_versions, MANIFEST_TAGS,
	 add_header_propagation},
	{"networking.istio.io", "Gateway", istio_versions, MANIFEST_GATEWAYS, add_gateway},
	{"networking.istio.io", "VirtualService", istio_versions, MANIFEST_ROUTES,
	 add_virtual_service},
	{"networking.istio.io", "DestinationRule", istio_versions, MANIFEST_ROUTES,
	 add_destination_rule},
	{"networking.istio.io", "ServiceEntry", istio_versions, MANIFEST_HOSTS, add_service_entry},
	{"networking.istio.io", "WorkloadEntry", istio_versions, MANIFEST_HOSTS,
	 add_workload_entry},
	{GATEWAY_API_GROUP, "Gateway", api_versions, MANIFEST_GATEWAYS, add_api_gateway},
	{GATEWAY_API_GROUP, "HTTPRoute", api_versions, MANIFEST_ROUTES, add_api_route},
	{GATEWAY_API_GROUP, "ReferenceGrant", api_versions, MANIFEST_ROUTES, add_reference_grant},
	{"", "Service", core_versions, MANIFEST_HOSTS, add_service},
	{"", "Pod", core_versions, MANIFEST_HOSTS, add_pod},
};

bool manifest_kind_describe(size_t index, struct manifest_kind *ret_kind)
{
	if (index >= ARRAY_LENGTH(our_kinds))
		return false;
	*ret_kind = (struct manifest_kind){our_kinds[index].group, our_kinds[index].kind,
					   our_kinds[index].versions, our_kinds[index].subject};
	return true;
}

struct type {
	struct span group, version, kind;
};

static void split_api_version(struct span api_version, struct type *type)
{
	if (!span_cut(api_version, '/', &type->group, &type->version)) {
		type->version = api_version;
		type->group = span_of("");
	}
}

static const struct our_kind *find_kind(const struct type *type)
{
	for (size_t i = 0; i < ARRAY_LENGTH(our_kinds); i++) {
		if (span_equal(span_of(our_kinds[i].group), type->group) &&
		    span_equal(span_of(our_kinds[i].kind), type->kind))
			return &our_kinds[i];
	}
	return NULL;
}

static bool has_version(const struct our_kind *kind, struct span version)
{
	for (const char *const *known = kind->versions; *known; known++) {
		if (span_equal(span_of(*known), version))
			return true;
	}
	return false;
}

/* What steers traffic in a mesh, so that it is not lost without a word. */
static void warn_of_istio_kind(const struct node *document, const struct type *type,
			       struct diagnostics *diagnostics)
{
	const struct node *name = node_get(node_get(document, "metadata"), "name");
	char title[400];

	bool is_of_api = span_equal(type->group, span_of(GATEWAY_API_GROUP)) &&
			 !span_equal(type->kind, span_of("GatewayClass"));

	if (!is_of_api && !span_ends_with_ignore_case(type->group, span_of(".istio.io")) &&
	    !span_ends_with_ignore_case(type->group, span_of("istio.alibabacloud.com")))
		return;
	snprintf(title, sizeof(title), "%.*s/%.*s", SPAN_ARGUMENTS(type->kind),
		 name && name->kind == NODE_SCALAR ? (int)name->text.length : 1,
		 name && name->kind == NODE_SCALAR ? name->text.data : "?");
	diagnostics_add(diagnostics, DIAGNOSTIC_WARNING, document->place, title, NULL,
			"this kind is not supported: it is passed over");
}

/* 0, or -ENOMEM. */
static int note_unenforced(struct manifest_set *set, const struct node *document,
			   const struct type *type, struct diagnostics *diagnostics)
{
	const char *lost = unenforced_kind(type->group, type->kind);

	if (!lost) {
		warn_of_istio_kind(document, type, diagnostics);
		return 0;
	}
	struct unenforced *one = ARRAY_APPEND(set->unenforced, set->unenforced_count);
	if (!one)
		return -ENOMEM;
	int error = unenforced_read(document, lost, one);
	set->unenforced_count -= error != 0;
	return error;
}

static int pass_over(struct manifest_set *set, struct span api_version, struct span kind)
{
	for (size_t i = 0; i < set->passed_over_count; i++) {
		struct passed_over_kind *known = &set->passed_over[i];

		if (span_equal(span_of(known->kind), kind) &&
		    span_equal(span_of(known->api_version), api_version)) {
			known->count++;
			return 0;
		}
	}
	if (set->passed_over_count == MAX_PASSED_OVER_KINDS)
		return -E2BIG;
	struct passed_over_kind *added = ARRAY_APPEND(set->passed_over, set->passed_over_count);
	if (!added)
		return -ENOMEM;
	added->api_version = span_copy(api_version);
	added->kind = span_copy(kind);
	added->count = 1;
	if (added->api_version && added->kind)
		return 0;
	free(added->api_version);
	free(added->kind);
	set->passed_over_count--;
	return -ENOMEM;
}

static int add_document(struct manifest_set *set, const struct node *document,
			struct diagnostics *diagnostics);

static int add_items(struct manifest_set *set, const struct node *items,
		     struct diagnostics *diagnostics)
{
	int result = 0;

	for (size_t i = 0; i < items->count && !result; i++)
		result = add_document(set, items->items[i], diagnostics);
	return result;
}

static int add_known(struct manifest_set *set, const struct our_kind *kind, const struct type *type,
		     const struct node *document, struct diagnostics *diagnostics)
{
	if (has_version(kind, type->version))
		return kind->add(set, document, diagnostics);
	diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, node_get(document, "apiVersion")->place,
			kind->kind, "apiVersion",
			"\"%.*s\" is no version of this kind that is known",
			SPAN_ARGUMENTS(type->version));
	return 0;
}

static int add_document(struct manifest_set *set, const struct node *document,
			struct diagnostics *diagnostics)
{
	const struct node *kind = node_get(document, "kind");
	const struct node *api_version = node_get(document, "apiVersion");
	const struct node *items = node_get(document, "items");
	struct type type;

	if (!kind || kind->kind != NODE_SCALAR || !api_version ||
	    api_version->kind != NODE_SCALAR) {
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, document->place, NULL, NULL,
				"a manifest must be a mapping with apiVersion and kind");
		return 0;
	}
	type.kind = kind->text;
	split_api_version(api_version->text, &type);
	if (span_ends_with_ignore_case(kind->text, span_of("List")) && items &&
	    items->kind == NODE_SEQUENCE)
		return add_items(set, items, diagnostics);
	const struct our_kind *known = find_kind(&type);
	if (known && (set->subjects & known->subject))
		return add_known(set, known, &type, document, diagnostics);
	if (set->subjects & MANIFEST_ROUTES && note_unenforced(set, document, &type, diagnostics))
		return -ENOMEM;
	return pass_over(set, api_version->text, kind->text);
}

/* `text` NULL: it could not be read, which is told already. */
static int keep_file(struct manifest_set *set, const char *name, const struct span *text)
{
	struct manifest_file *file = ARRAY_APPEND(set->files, set->file_count);

	if (!file)
		return -ENOMEM;
	*file = (struct manifest_file){
		.name = strdup(name),
		.text = text ? span_copy(*text) : NULL,
		.length = text ? text->length : 0,
	};
	return file->name && (file->text || !text) ? 0 : -ENOMEM;
}

/* The part of the set that is this text at this place; NULL: there is none. */
static struct manifest_part *find_part(const struct manifest_set *set, const char *file,
				       unsigned line, struct span text)
{
	size_t count = set ? set->part_slot_count : 0;
	uint64_t hash = count ? manifest_part_hash(file, line, text) : 0;

	for (size_t i = 0; i < count; i++) {
		size_t slot = (hash + i) % count;

		if (!set->part_slots[slot])
			return NULL;
		struct manifest_part *part = set->parts[set->part_slots[slot] - 1];
		if (part->hash == hash && part->line == line && strcmp(part->file, file) == 0 &&
		    span_equal((struct span){part->text, part->length}, text))
			return part;
	}
	return NULL;
}

/* For find_part. Without memory there is no index, and the next set reads all. */
static void index_parts(struct manifest_set *set)
{
	size_t count = 2 * set->part_count + 1;

	set->part_slots = calloc(count, sizeof(*set->part_slots));
	if (!set->part_slots)
		return;
	set->part_slot_count = count;
	for (size_t i = 0; i < set->part_count; i++) {
		size_t slot = set->parts[i]->hash % count;

		while (set->part_slots[slot])
			slot = (slot + 1) % count;
		set->part_slots[slot] = (uint32_t)i + 1;
	}
}

/* Reads a text into a part. True if all is well with it: warnings may be there. */
static bool read_part(struct manifest_part *part)
{
	struct node **documents;
	size_t count =
		nodes_read_from(part->file, part->line, (struct span){part->text, part->length},
				&part->diagnostics, &documents);
	bool is_whole = nodes_are_whole(documents);
	int result = 0;

	for (size_t i = 0; i < count && !result; i++)
		result = add_document(&part->own, documents[i], &part->diagnostics);
	if (result)
		diagnostics_add(&part->diagnostics, DIAGNOSTIC_ERROR,
				(struct source_place){.file = part->file}, NULL, NULL, "%s",
				strerror(-result));
	nodes_free(documents, count);
	return is_whole && !result && !part->diagnostics.error_count;
}

struct part_list {
	struct manifest_part **items;
	size_t count;
};

static void free_list(struct part_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		manifest_part_drop(list->items[i]);
	free(list->items);
	*list = (struct part_list){0};
}

/* Takes over the caller's reference. False: memory is short. */
static bool list_part(struct part_list *list, struct manifest_part *part)
{
	struct manifest_part **place = part ? ARRAY_APPEND(list->items, list->count) : NULL;

	if (place)
		*place = part;
	else
		manifest_part_drop(part);
	return place;
}

/*
 * A part for each document, those of `previous` where it has them. False where one cannot be read or has an error:
 * what is then wrong with the file is for reading it as a whole to say.
 */
static bool list_documents(const struct manifest_set *set, const struct manifest_set *previous,
			   const char *file, struct span text, struct part_list *list)
{
	struct span document;
	unsigned line = 1;

	while (manifest_next_document(&text, &document)) {
		struct manifest_part *part = find_part(previous, file, line, document);
		bool is_known = part;

		part = part ? manifest_part_take(part)
			    : manifest_part_new(file, line, document, set->subjects);
		if (!list_part(list, part) || (!is_known && !read_part(part)))
			return false;
		line += (unsigned)manifest_text_line_feeds(document);
	}
	return true;
}

static bool list_whole(const struct manifest_set *set, const char *file, struct span text,
		       struct part_list *list)
{
	struct manifest_part *part = manifest_part_new(file, 1, text, set->subjects);

	if (!list_part(list, part))
		return false;
	read_part(part);
	return true;
}

#define ADD_ALL(array, counter)                                                           \
	for (size_t i = 0; i < own->counter; i++) {                                       \
		__typeof__(set->array) manifest = ARRAY_APPEND(set->array, set->counter); \
		if (!manifest)                                                            \
			return -ENOMEM;                                                   \
		*manifest = own->array[i];                                                \
	}

/* What a part has is the set's, too; the part owns what it points to. 0 or a negative errno. */
static int add_manifests(struct manifest_set *set, const struct manifest_set *own)
{
	ADD_ALL(wasm_plugins, wasm_plugin_count)
	ADD_ALL(header_propagations, header_propagation_count)
	ADD_ALL(gateways, gateway_count)
	ADD_ALL(virtual_services, virtual_service_count)
	ADD_ALL(destination_rules, destination_rule_count)
	ADD_ALL(services, service_count)
	ADD_ALL(workloads, workload_count)
	ADD_ALL(reference_grants, reference_grant_count)
	for (size_t i = 0; i < own->unenforced_count; i++) {
		const struct unenforced *from = &own->unenforced[i];
		struct unenforced *one = ARRAY_APPEND(set->unenforced, set->unenforced_count);

		if (!one)
			return -ENOMEM;
		*one = *from;
		/* The set's own: what it lacks is found once all is read. */
		one->hosts = from->hosts ? strdup(from->hosts) : NULL;
	}
	for (size_t i = 0; i < own->passed_over_count; i++) {
		const struct passed_over_kind *kind = &own->passed_over[i];

		for (size_t j = 0; j < kind->count; j++) {
			int result =
				pass_over(set, span_of(kind->api_version), span_of(kind->kind));
			if (result)
				return result;
		}
	}
	return 0;
}

static int add_part(struct manifest_set *set, struct manifest_part *part,
		    struct diagnostics *diagnostics)
{
	struct manifest_part **place = ARRAY_APPEND(set->parts, set->part_count);

	if (!place)
		return -ENOMEM;
	*place = manifest_part_take(part);
	for (size_t i = 0; i < part->diagnostics.count; i++)
		diagnostics_add_copy(diagnostics, &part->diagnostics.items[i]);
	return add_manifests(set, &part->own);
}

static void add_file(struct manifest_set *set, const struct manifest_input *input, const char *name,
		     struct span text, struct diagnostics *diagnostics)
{
	const struct manifest_set *previous = input ? input->previous : NULL;
	struct part_list list = {0};
	int result = keep_file(set, name, &text);

	if (previous && previous->subjects != set->subjects)
		previous = NULL;
	if (!input || !input->shares || !manifest_text_can_split(text) ||
	    !list_documents(set, previous, name, text, &list)) {
		free_list(&list);
		if (!list_whole(set, name, text, &list))
			result = -ENOMEM;
	}
	for (size_t i = 0; i < list.count && !result; i++)
		result = add_part(set, list.items[i], diagnostics);
	if (result)
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){.file = name},
				NULL, NULL, "%s", strerror(-result));
	free_list(&list);
}

static void read_one_file(struct manifest_set *set, const struct manifest_input *input,
			  const char *file, struct diagnostics *diagnostics)
{
	struct buffer text = {0};

	if (nodes_read_text(file, diagnostics, &text))
		keep_file(set, file, NULL);
	else
		add_file(set, input, file, buffer_span(&text), diagnostics);
	buffer_free(&text);
}

/* A directory's texts, as they were at one moment if it stayed as it was meanwhile. */
struct directory_texts {
	struct manifest_file *files;
	size_t count;
	struct diagnostics diagnostics;
};

static void free_texts(struct directory_texts *texts)
{
	manifest_files_free(texts->files, texts->count);
	diagnostics_free(&texts->diagnostics);
	*texts = (struct directory_texts){0};
}

static void add_text(struct directory_texts *texts, const struct manifest_directory *directory,
		     const char *path, const char *name)
{
	struct buffer full = {0}, text = {0};
	struct stat status;
	int fd = manifest_directory_open_file(directory, name, NULL);
	struct manifest_file *file = NULL;

	buffer_printf(&full, "%s/%s", path, name);
	if (fd >= 0 && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
		goto out;
	file = buffer_text(&full) ? ARRAY_APPEND(texts->files, texts->count) : NULL;
	if (!file) {
		diagnostics_add(&texts->diagnostics, DIAGNOSTIC_ERROR,
				(struct source_place){.file = path}, NULL, NULL, "out of memory");
		goto out;
	}
	file->name = full.data;
	full = (struct buffer){0};
	if (nodes_read_fd(fd, file->name, &texts->diagnostics, &text))
		goto out;
	file->text = span_copy(buffer_span(&text));
	file->length = text.length;
	if (!file->text)
		diagnostics_add(&texts->diagnostics, DIAGNOSTIC_ERROR,
				(struct source_place){.file = path}, NULL, NULL, "out of memory");
out:
	if (fd >= 0)
		close(fd);
	buffer_free(&full);
	buffer_free(&text);
}

/* True: as one moment had them. */
static bool read_texts(const char *path, struct directory_texts *texts)
{
	struct manifest_directory directory;
	int error = manifest_directory_open(path, &directory);

	*texts = (struct directory_texts){0};
	if (error)
		diagnostics_add(&texts->diagnostics, DIAGNOSTIC_ERROR,
				(struct source_place){.file = path}, NULL, NULL, "cannot read: %s",
				strerror(-error));
	for (size_t i = 0; i < directory.count && !error; i++)
		add_text(texts, &directory, path, directory.names[i]);
	bool changed = !error && manifest_directory_changed(&directory);
	manifest_directory_close(&directory);
	return !changed;
}

static void read_directory(struct manifest_set *set, const struct manifest_input *input,
			   const char *directory, struct diagnostics *diagnostics)
{
	static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	struct directory_texts texts;

	for (int tries = 1; !read_texts(directory, &texts) && tries < MAX_DIRECTORY_READS;
	     tries++) {
		free_texts(&texts);
		nanosleep(&pause, NULL);
	}
	diagnostics_take(diagnostics, &texts.diagnostics);
	for (size_t i = 0; i < texts.count; i++) {
		const struct manifest_file *file = &texts.files[i];

		if (file->text)
			add_file(set, input, file->name, (struct span){file->text, file->length},
				 diagnostics);
		else
			keep_file(set, file->name, NULL);
	}
	free_texts(&texts);
}

struct resource_list {
	const struct resource **items;
	size_t count;
};

static int compare_resources(const void *left, const void *right)
{
	const struct resource *a = *(const struct resource *const *)left;
	const struct resource *b = *(const struct resource *const *)right;
	int order = strcmp(a->kind, b->kind);
	size_t group = strcspn(a->api_version, "/");

	/* Two groups have a Gateway; versions are the same to us. */
	if (!order)
		order = strncmp(a->api_version, b->api_version, group + 1);
	if (!order)
		order = strcmp(a->namespace, b->namespace);
	return order ? order : strcmp(a->name, b->name);
}

static int compare_resources_and_places(const void *left, const void *right)
{
	const struct resource *a = *(const struct resource *const *)left;
	const struct resource *b = *(const struct resource *const *)right;
	int order = compare_resources(left, right);

	if (!order)
		order = strcmp(a->place.file, b->place.file);
	if (order)
		return order;
	return a->place.line < b->place.line ? -1 : a->place.line > b->place.line;
}

#define COLLECT_RESOURCES(list, array, number) \
	for (size_t i = 0; i < (number); i++)  \
	(list).items[(list).count++] = &(array)[i].resource

static void check_duplicates(const struct manifest_set *set, struct diagnostics *diagnostics)
{
	size_t count = set->wasm_plugin_count + set->header_propagation_count + set->gateway_count +
		       set->virtual_service_count + set->destination_rule_count +
		       set->service_count + set->workload_count + set->reference_grant_count;
	struct resource_list list = {.items = calloc(count + 1, sizeof(*list.items))};

	if (!list.items) {
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){0}, NULL, NULL,
				"out of memory");
		return;
	}
	COLLECT_RESOURCES(list, set->wasm_plugins, set->wasm_plugin_count);
	COLLECT_RESOURCES(list, set->header_propagations, set->header_propagation_count);
	COLLECT_RESOURCES(list, set->gateways, set->gateway_count);
	COLLECT_RESOURCES(list, set->virtual_services, set->virtual_service_count);
	COLLECT_RESOURCES(list, set->destination_rules, set->destination_rule_count);
	COLLECT_RESOURCES(list, set->services, set->service_count);
	COLLECT_RESOURCES(list, set->workloads, set->workload_count);
	COLLECT_RESOURCES(list, set->reference_grants, set->reference_grant_count);
	qsort(list.items, list.count, sizeof(*list.items), compare_resources_and_places);
	for (size_t i = 1; i < list.count; i++) {
		const struct resource *first = list.items[i - 1], *second = list.items[i];

		if (compare_resources(&list.items[i - 1], &list.items[i]) != 0)
			continue;
		char *title = resource_title(second);
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, second->place, title, NULL,
				"stands twice in the namespace %s, also at %s:%u:%u",
				second->namespace, first->place.file, first->place.line,
				first->place.column);
		diagnostics_note_other(diagnostics, first->place);
		free(title);
	}
	free(list.items);
}

/* What can be said once all is read. */
static void check_whole(struct manifest_set *set, struct diagnostics *diagnostics)
{
	check_duplicates(set, diagnostics);
	for (size_t i = 0; i < set->unenforced_count; i++)
		unenforced_report(&set->unenforced[i], set, diagnostics);
}

static void read_path(struct manifest_set *set, const struct manifest_input *input,
		      const char *path, struct diagnostics *diagnostics)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		read_directory(set, input, path, diagnostics);
	else
		read_one_file(set, input, path, diagnostics);
}

void manifest_set_read_input(const struct manifest_input *input, unsigned subjects,
			     struct diagnostics *diagnostics, struct manifest_set *set)
{
	*set = (struct manifest_set){.subjects = subjects};
	for (size_t i = 0; i < input->path_count; i++)
		read_path(set, input, input->paths[i], diagnostics);
	for (size_t i = 0; i < input->object_count; i++) {
		const struct manifest_file *object = &input->objects[i];

		add_file(set, input, object->name, (struct span){object->text, object->length},
			 diagnostics);
	}
	if (input->shares)
		index_parts(set);
	check_whole(set, diagnostics);
}

void manifest_set_read(const char *const *paths, size_t path_count, unsigned subjects,
		       struct diagnostics *diagnostics, struct manifest_set *set)
{
	const struct manifest_input input = {.paths = paths, .path_count = path_count};

	manifest_set_read_input(&input, subjects, diagnostics, set);
}

void manifest_set_read_files(const struct manifest_file *files, size_t file_count,
			     unsigned subjects, struct diagnostics *diagnostics,
			     struct manifest_set *set)
{
	*set = (struct manifest_set){.subjects = subjects};
	for (size_t i = 0; i < file_count; i++)
		add_file(set, NULL, files[i].name, (struct span){files[i].text, files[i].length},
			 diagnostics);
	check_whole(set, diagnostics);
}

void manifest_files_free(struct manifest_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(files[i].name);
		free(files[i].text);
	}
	free(files);
}

#define FREE_MANIFESTS(free_one, array, count)       \
	do {                                         \
		for (size_t i = 0; i < (count); i++) \
			free_one(&(array)[i]);       \
		free(array);                         \
	} while (0)

static void free_passed_over(struct manifest_set *set)
{
	for (size_t i = 0; i < set->passed_over_count; i++) {
		free(set->passed_over[i].api_version);
		free(set->passed_over[i].kind);
	}
	free(set->passed_over);
}

void manifest_set_free_manifests(struct manifest_set *set)
{
	FREE_MANIFESTS(wasm_plugin_free, set->wasm_plugins, set->wasm_plugin_count);
	FREE_MANIFESTS(header_propagation_free, set->header_propagations,
		       set->header_propagation_count);
	FREE_MANIFESTS(gateway_free, set->gateways, set->gateway_count);
	FREE_MANIFESTS(virtual_service_free, set->virtual_services, set->virtual_service_count);
	FREE_MANIFESTS(destination_rule_free, set->destination_rules, set->destination_rule_count);
	FREE_MANIFESTS(service_free, set->services, set->service_count);
	FREE_MANIFESTS(workload_free, set->workloads, set->workload_count);
	FREE_MANIFESTS(unenforced_free, set->unenforced, set->unenforced_count);
	FREE_MANIFESTS(reference_grant_free, set->reference_grants, set->reference_grant_count);
	free_passed_over(set);
}

void manifest_set_free_all_but_rules(struct manifest_set *set)
{
	struct manifest_set rules = {
		.wasm_plugins = set->wasm_plugins,
		.wasm_plugin_count = set->wasm_plugin_count,
		.parts = set->parts,
		.subjects = set->subjects,
	};

	free(set->header_propagations);
	free(set->gateways);
	free(set->virtual_services);
	free(set->destination_rules);
	free(set->services);
	free(set->workloads);
	for (size_t i = 0; i < set->unenforced_count; i++)
		free(set->unenforced[i].hosts);
	free(set->unenforced);
	free(set->reference_grants);
	free(set->part_slots);
	free_passed_over(set);
	manifest_files_free(set->files, set->file_count);
	for (size_t i = 0; i < set->part_count; i++) {
		if (set->parts[i]->own.wasm_plugin_count)
			rules.parts[rules.part_count++] = set->parts[i];
		else
			manifest_part_drop(set->parts[i]);
	}
	*set = rules;
}

void manifest_set_free(struct manifest_set *set)
{
	manifest_set_free_all_but_rules(set);
	for (size_t i = 0; i < set->part_count; i++)
		manifest_part_drop(set->parts[i]);
	free(set->parts);
	free(set->wasm_plugins);
	*set = (struct manifest_set){0};
}
