/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buffer.h"

#define ANNOTATION_PREFIX "lanetag" /* of those that are read */

/*
 * As YAML reads it: these characters, which JSON allows in a string, are line ends to YAML or
 * none of its characters.
 */
static const struct special {
	const char *bytes, *escape;
} specials[] = {
	{"\x7f", "\\u007f"},	     {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"},
	{"\xef\xbb\xbf", "\\ufeff"}, {"\xef\xbf\xbe", "\\ufffe"}, {"\xef\xbf\xbf", "\\uffff"},
};

/* Gives how many bytes the character has that it wrote; 0: it is an ordinary one. */
static size_t append_special(struct buffer *out, struct span text)
{
	const unsigned char *bytes = (const unsigned char *)text.data;

	if (text.length >= 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0) {
		buffer_printf(out, "\\u%04x", bytes[1]); /* U+0080 to U+009F */
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(specials); i++) {
		if (!span_starts_with(text, span_of(specials[i].bytes)))
			continue;
		buffer_append_text(out, specials[i].escape);
		return strlen(specials[i].bytes);
	}
	return 0;
}

static char *dump(const json_t *object)
{
	/* 15 digits: a fraction is written as it was. */
	char *json = json_dumps(object, JSON_REAL_PRECISION(15));
	struct span rest = span_of(json);
	struct buffer text = {0};

	while (rest.length) {
		size_t taken = append_special(&text, rest);

		if (!taken)
			buffer_append_byte(&text, rest.data[taken++]);
		rest = (struct span){rest.data + taken, rest.length - taken};
	}
	free(json);
	buffer_append_byte(&text, '\0');
	if (!json || text.failed)
		buffer_free(&text);
	return text.data;
}

/* What is there, by reference. */
static void copy_fields(json_t *to, json_t *from, const char *const *fields)
{
	for (; *fields; fields++) {
		json_t *value = json_object_get(from, *fields);

		if (value)
			json_object_set(to, *fields, value);
	}
}

static json_t *read_annotations(json_t *metadata)
{
	json_t *annotations = json_object_get(metadata, "annotations"), *ours = json_object();
	const char *key;
	json_t *value;

	json_object_foreach(annotations, key, value)
	{
		if (strncmp(key, ANNOTATION_PREFIX, strlen(ANNOTATION_PREFIX)) == 0)
			json_object_set(ours, key, value);
	}
	return ours;
}

static json_t *read_metadata(json_t *metadata)
{
	static const char *const fields[] = {"name", "namespace", "labels", "deletionTimestamp",
					     NULL};
	json_t *read = json_object(), *annotations = read_annotations(metadata);

	copy_fields(read, metadata, fields);
	if (json_object_size(annotations))
		json_object_set(read, "annotations", annotations);
	json_decref(annotations);
	return read;
}

/* Of containers only the names of their ports matter, where they have some. */
static json_t *read_containers(json_t *spec)
{
	static const char *const fields[] = {"ports", NULL};
	json_t *read = json_array(), *container;
	size_t i;

	json_array_foreach(json_object_get(spec, "containers"), i, container)
	{
		json_t *one = json_object();

		copy_fields(one, container, fields);
		json_array_append_new(read, one);
	}
	return read;
}

static json_t *read_pod_spec(json_t *spec)
{
	static const char *const fields[] = {"hostNetwork", NULL};
	json_t *read = json_object();

	copy_fields(read, spec, fields);
	json_object_set_new(read, "containers", read_containers(spec));
	return read;
}

/* Of the conditions only the one that counts, without its times, which change. */
static json_t *read_pod_status(json_t *status)
{
	static const char *const fields[] = {"phase", "podIP", NULL};
	static const char *const condition_fields[] = {"type", "status", NULL};
	json_t *read = json_object(), *conditions = json_array(), *condition;
	size_t i;

	copy_fields(read, status, fields);
	json_array_foreach(json_object_get(status, "conditions"), i, condition)
	{
		const char *type = json_string_value(json_object_get(condition, "type"));
		json_t *one = type && strcmp(type, "Ready") == 0 ? json_object() : NULL;

		if (!one)
			continue;
		copy_fields(one, condition, condition_fields);
		json_array_append_new(conditions, one);
	}
	json_object_set_new(read, "conditions", conditions);
	return read;
}

static json_t *read_object(const struct manifest_kind *kind, const char *version, json_t *item)
{
	static const char *const fields[] = {"spec", NULL};
	json_t *read = json_object();

	json_object_set_new(
		read, "apiVersion",
		json_sprintf("%s%s%s", kind->group, kind->group[0] ? "/" : "", version));
	json_object_set_new(read, "kind", json_string(kind->kind));
	json_object_set_new(read, "metadata", read_metadata(json_object_get(item, "metadata")));
	if (!kind->group[0] && strcmp(kind->kind, "Pod") == 0) {
		json_object_set_new(read, "spec", read_pod_spec(json_object_get(item, "spec")));
		json_object_set_new(read, "status",
				    read_pod_status(json_object_get(item, "status")));
	} else {
		copy_fields(read, item, fields);
	}
	return read;
}

/* What may be in a place, a path and a line of the saved state: Kubernetes' names are such. */
static bool is_name(const char *name)
{
	size_t length = name ? strlen(name) : 0;

	return length > 0 && length <= 253 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;
}

int kubernetes_object_read(const struct manifest_kind *kind, const char *version, json_t *item,
			   struct kubernetes_object *ret_object)
{
	json_t *metadata = json_object_get(item, "metadata");
	const char *name = json_string_value(json_object_get(metadata, "name"));
	const char *namespace = json_string_value(json_object_get(metadata, "namespace"));

	if (!is_name(name) || !is_name(namespace))
		return -EINVAL;
	json_t *read = read_object(kind, version, item);
	*ret_object = (struct kubernetes_object){
		.namespace = strdup(namespace),
		.name = strdup(name),
		.text = read ? dump(read) : NULL,
	};
	json_decref(read);
	if (ret_object->namespace && ret_object->name && ret_object->text)
		return 0;
	kubernetes_object_free(ret_object);
	return -ENOMEM;
}

void kubernetes_object_free(struct kubernetes_object *object)
{
	free(object->namespace);
	free(object->name);
	free(object->text);
	*object = (struct kubernetes_object){0};
}

static size_t bytes_of(const struct kubernetes_object *object)
{
	return strlen(object->namespace) + strlen(object->name) + strlen(object->text);
}

static int compare_names(const struct kubernetes_object *object, const char *namespace,
			 const char *name)
{
	int order = strcmp(object->namespace, namespace);

	return order ? order : strcmp(object->name, name);
}

int kubernetes_objects_add(struct kubernetes_objects *objects, struct kubernetes_object *object)
{
	uint64_t bytes = objects->bytes + bytes_of(object);
	bool fits = objects->count < KUBERNETES_MAX_OBJECTS && bytes <= KUBERNETES_MAX_BYTES;
	struct kubernetes_object *added =
		fits ? ARRAY_APPEND(objects->items, objects->count) : NULL;

	if (!added) {
		kubernetes_object_free(object);
		return fits ? -ENOMEM : -E2BIG;
	}
	*added = *object;
	objects->bytes = bytes;
	*object = (struct kubernetes_object){0};
	return 0;
}

struct sorted_object {
	struct kubernetes_object object;
	size_t index;
};

static int compare_sorted(const void *left, const void *right)
{
	const struct sorted_object *a = left, *b = right;
	int order = compare_names(&a->object, b->object.namespace, b->object.name);

	if (order)
		return order;
	return a->index < b->index ? -1 : a->index > b->index;
}

void kubernetes_objects_sort(struct kubernetes_objects *objects)
{
	struct sorted_object *sorted = calloc(objects->count + 1, sizeof(*sorted));
	size_t kept = 0;

	if (!sorted)
		return; /* what is found then is found by luck: the next list mends it */
	for (size_t i = 0; i < objects->count; i++)
		sorted[i] = (struct sorted_object){objects->items[i], i};
	qsort(sorted, objects->count, sizeof(*sorted), compare_sorted);
	for (size_t i = 0; i < objects->count; i++) {
		struct kubernetes_object *last = kept ? &objects->items[kept - 1] : NULL;

		if (last &&
		    compare_names(last, sorted[i].object.namespace, sorted[i].object.name) == 0) {
			objects->bytes -= bytes_of(last);
			kubernetes_object_free(last);
			*last = sorted[i].object;
		} else {
			objects->items[kept++] = sorted[i].object;
		}
	}
	objects->count = kept;
	free(sorted);
}

/* The first that is not before the name. */
static size_t find(const struct kubernetes_objects *objects, const char *namespace,
		   const char *name)
{
	size_t low = 0, high = objects->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(&objects->items[middle], namespace, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct kubernetes_objects *objects, size_t index, const char *namespace,
		  const char *name)
{
	return index < objects->count &&
	       compare_names(&objects->items[index], namespace, name) == 0;
}

int kubernetes_objects_put(struct kubernetes_objects *objects, struct kubernetes_object *object,
			   bool *ret_changed)
{
	size_t index = find(objects, object->namespace, object->name);
	bool is_known = is_at(objects, index, object->namespace, object->name);

	*ret_changed = true;
	if (is_known) {
		struct kubernetes_object *known = &objects->items[index];

		*ret_changed = strcmp(known->text, object->text) != 0;
		objects->bytes += bytes_of(object) - bytes_of(known);
		kubernetes_object_free(known);
		*known = *object;
		*object = (struct kubernetes_object){0};
		return 0;
	}
	int error = kubernetes_objects_add(objects, object);
	if (error)
		return error;
	struct kubernetes_object added = objects->items[objects->count - 1];
	memmove(&objects->items[index + 1], &objects->items[index],
		(objects->count - 1 - index) * sizeof(added));
	objects->items[index] = added;
	return 0;
}

bool kubernetes_objects_remove(struct kubernetes_objects *objects, const char *namespace,
			       const char *name)
{
	size_t index = find(objects, namespace, name);

	if (!is_at(objects, index, namespace, name))
		return false;
	objects->bytes -= bytes_of(&objects->items[index]);
	kubernetes_object_free(&objects->items[index]);
	objects->count--;
	memmove(&objects->items[index], &objects->items[index + 1],
		(objects->count - index) * sizeof(*objects->items));
	return true;
}

bool kubernetes_objects_equal(const struct kubernetes_objects *left,
			      const struct kubernetes_objects *right)
{
	bool equal = left->count == right->count && left->bytes == right->bytes;

	for (size_t i = 0; equal && i < left->count; i++) {
		const struct kubernetes_object *a = &left->items[i], *b = &right->items[i];

		equal = compare_names(a, b->namespace, b->name) == 0 &&
			strcmp(a->text, b->text) == 0;
	}
	return equal;
}

void kubernetes_objects_free(struct kubernetes_objects *objects)
{
	for (size_t i = 0; i < objects->count; i++)
		kubernetes_object_free(&objects->items[i]);
	free(objects->items);
	*objects = (struct kubernetes_objects){0};
}
