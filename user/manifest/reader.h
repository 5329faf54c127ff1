/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Typed reading of nodes. A reader stands on one resource; every function names what it dislikes in
 * the diagnostics, with the field's whole path, and goes on, so that one run finds all errors.
 */
#include <stdint.h>
#include "manifest/node.h"

struct reader {
	struct diagnostics *diagnostics;
	const char *resource; /* "Kind/name" */
};

/*
 * A path is a chain on the stack, from the innermost field outwards; printed as spec.http[0].name.
 *   struct path http = path_field(&spec, "http");
 *   struct path first = path_item(&http, 0);
 */
struct path {
	const struct path *parent;
	const char *field; /* or NULL: `index` */
	size_t index;
};

static inline struct path path_field(const struct path *parent, const char *field)
{
	return (struct path){.parent = parent, .field = field};
}

static inline struct path path_item(const struct path *parent, size_t index)
{
	return (struct path){.parent = parent, .index = index};
}

void path_print(const struct path *path, struct buffer *out);

void reader_error(const struct reader *reader, const struct node *node, const struct path *path,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Costs a route alone (DIAGNOSTIC_ROUTE_ERROR). */
void reader_route_error(const struct reader *reader, const struct node *node,
			const struct path *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void reader_warning(const struct reader *reader, const struct node *node, const struct path *path,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

enum field_support {
	FIELD_READ,	   /* we act on it */
	FIELD_IGNORED,	   /* it changes nothing of what we do (imagePullPolicy, status) */
	FIELD_UNSUPPORTED, /* it would change behaviour: an error */
	FIELD_LOST,	   /* the rest serves without it: a warning that says what is lost */
};

struct field_rule {
	const char *name;
	enum field_support support;
	const char *
		reason; /* of FIELD_UNSUPPORTED: what to do instead, or NULL; of FIELD_LOST: what is lost */
};

/*
 * Errors for fields that are not in `rules` or are not supported. False also if `node` is no
 * mapping (an error, unless it is null).
 */
bool reader_check_fields(const struct reader *reader, const struct node *node,
			 const struct path *path, const struct field_rule *rules,
			 size_t rule_count);

/*
 * Each gives 0 when the value was read, 1 when it is absent or null (*ret untouched), -1 on a wrong
 * value (named). Strings are copies that the caller frees.
 */
int reader_string(const struct reader *reader, const struct node *mapping,
		  const struct path *parent, const char *field, char **ret_value);
/* The same without a copy: a span into the document, NUL-terminated. */
int reader_text(const struct reader *reader, const struct node *mapping, const struct path *parent,
		const char *field, struct span *ret_text);
int reader_unsigned(const struct reader *reader, const struct node *mapping,
		    const struct path *parent, const char *field, uint64_t minimum,
		    uint64_t maximum, uint64_t *ret_value);
int reader_bool(const struct reader *reader, const struct node *mapping, const struct path *parent,
		const char *field, bool *ret_value);
/* A decimal fraction such as 0.01 or 50, in units of 1 / scale (exact; more digits: an error). */
int reader_decimal(const struct reader *reader, const struct node *mapping,
		   const struct path *parent, const char *field, uint64_t scale, uint64_t maximum,
		   uint64_t *ret_value);
/* A protobuf duration as Kubernetes writes it (Go): 1h, 1m30s, 250ms, 0.5s; in milliseconds. */
int reader_duration_ms(const struct reader *reader, const struct node *mapping,
		       const struct path *parent, const char *field, uint64_t *ret_value);
/* The child if it has this kind; NULL if absent (no error) or of another kind (an error). */
struct node *reader_child(const struct reader *reader, const struct node *mapping,
			  const struct path *parent, const char *field, enum node_kind kind);

/* The text of a scalar item (of a sequence), or an error and an empty span with data == NULL. */
struct span reader_item_text(const struct reader *reader, const struct node *node,
			     const struct path *path);
