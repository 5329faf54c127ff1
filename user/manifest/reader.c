/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/number.h"

#define READER_MAX_PATH (2 * NODE_MAX_DEPTH)
#define READER_MAX_DURATION_NS (UINT64_C(366) * 24 * 3600 * 1000000000)

void path_print(const struct path *path, struct buffer *out)
{
	const struct path *chain[READER_MAX_PATH];
	size_t length = 0;

	for (; path && length < ARRAY_LENGTH(chain); path = path->parent)
		chain[length++] = path;
	for (size_t i = length; i > 0; i--) {
		if (!chain[i - 1]->field) {
			buffer_printf(out, "[%zu]", chain[i - 1]->index);
			continue;
		}
		if (i < length)
			buffer_append_byte(out, '.');
		buffer_append_text(out, chain[i - 1]->field);
	}
}

static void reader_say(const struct reader *reader, enum diagnostic_severity severity,
		       const struct node *node, const struct path *path, const char *format,
		       va_list arguments)
{
	struct source_place place = node ? node->place : (struct source_place){0};
	struct buffer field = {0};
	char what[512];

	vsnprintf(what, sizeof(what), format, arguments);
	path_print(path, &field);
	const char *text = field.length ? buffer_text(&field) : NULL;
	diagnostics_add(reader->diagnostics, severity, place, reader->resource, text, "%s", what);
	buffer_free(&field);
}

void reader_error(const struct reader *reader, const struct node *node, const struct path *path,
		  const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reader_say(reader, DIAGNOSTIC_ERROR, node, path, format, arguments);
	va_end(arguments);
}

void reader_route_error(const struct reader *reader, const struct node *node,
			const struct path *path, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reader_say(reader, DIAGNOSTIC_ROUTE_ERROR, node, path, format, arguments);
	va_end(arguments);
}

void reader_warning(const struct reader *reader, const struct node *node, const struct path *path,
		    const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reader_say(reader, DIAGNOSTIC_WARNING, node, path, format, arguments);
	va_end(arguments);
}

static const struct field_rule *find_rule(const struct field_rule *rules, size_t rule_count,
					  struct span name)
{
	for (size_t i = 0; i < rule_count; i++) {
		if (span_equal(span_of(rules[i].name), name))
			return &rules[i];
	}
	return NULL;
}

static bool says_nothing(const struct node *node)
{
	return node_is_null(node) || (node->kind == NODE_SEQUENCE && node->count == 0);
}

bool reader_check_fields(const struct reader *reader, const struct node *node,
			 const struct path *path, const struct field_rule *rules, size_t rule_count)
{
	bool good = true;

	if (node_is_null(node))
		return false;
	if (node->kind != NODE_MAPPING) {
		reader_error(reader, node, path, "must be a mapping");
		return false;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct node *key = node->keys[i];
		const struct field_rule *rule = find_rule(rules, rule_count, key->text);
		struct path field = path_field(path, key->text.data);

		if (!rule) {
			reader_error(reader, key, &field, "unknown field");
			good = false;
		} else if (rule->support == FIELD_UNSUPPORTED && !says_nothing(node->items[i])) {
			reader_error(reader, key, &field, "not supported%s%s",
				     rule->reason ? ": " : "", rule->reason ? rule->reason : "");
			good = false;
		} else if (rule->support == FIELD_LOST && !says_nothing(node->items[i])) {
			reader_warning(reader, key, &field, "not supported: %s", rule->reason);
		}
	}
	return good;
}

/* The scalar of a field: 0, 1 (absent), or -1 (named). */
static int reader_scalar(const struct reader *reader, const struct node *mapping,
			 const struct path *path, struct node **ret_node)
{
	struct node *node = node_get(mapping, path->field);

	if (node_is_null(node))
		return 1;
	if (node->kind != NODE_SCALAR) {
		reader_error(reader, node, path, "must be a single value, not a %s",
			     node->kind == NODE_MAPPING ? "mapping" : "list");
		return -1;
	}
	*ret_node = node;
	return 0;
}

static bool is_number(struct span text)
{
	size_t i = text.length && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
	size_t digits = 0;

	if (text.length - i > 2 && text.data[i] == '0' && strchr("xXoObB", text.data[i + 1]))
		return strspn(text.data + i + 2, "0123456789abcdefABCDEF_") == text.length - i - 2;
	for (; i < text.length && strchr("0123456789._", text.data[i]) && text.data[i]; i++)
		digits += text.data[i] >= '0' && text.data[i] <= '9';
	if (digits == 0)
		return false;
	if (i < text.length && (text.data[i] | 0x20) == 'e') {
		i++;
		if (i < text.length && (text.data[i] == '-' || text.data[i] == '+'))
			i++;
		size_t exponent = strspn(text.data + i, "0123456789");
		return exponent > 0 && i + exponent == text.length;
	}
	return i == text.length &&
	       memchr(text.data, '.', text.length) == memrchr(text.data, '.', text.length);
}

/* What YAML 1.1, as Kubernetes reads it, takes for another type than a text. */
static const char *type_of_plain(const struct node *node)
{
	static const char *const truths[] = {"true", "false", "yes", "no", "on", "off"};

	if (!node->plain)
		return NULL;
	for (size_t i = 0; i < ARRAY_LENGTH(truths); i++) {
		if (span_equal_ignore_case(node->text, span_of(truths[i])))
			return "truth value";
	}
	return is_number(node->text) ? "number" : NULL;
}

static bool reader_is_text(const struct reader *reader, const struct node *node,
			   const struct path *path)
{
	const char *type = type_of_plain(node);

	if (type) {
		reader_error(reader, node, path,
			     "must be a text; to YAML %.*s is a %s, write it in quotes: \"%.*s\"",
			     SPAN_ARGUMENTS(node->text), type, SPAN_ARGUMENTS(node->text));
		return false;
	}
	if (memchr(node->text.data, '\0', node->text.length)) {
		reader_error(reader, node, path, "must not hold a zero byte");
		return false;
	}
	return true;
}

int reader_text(const struct reader *reader, const struct node *mapping, const struct path *parent,
		const char *field, struct span *ret_text)
{
	struct path path = path_field(parent, field);
	struct node *node;
	int result = reader_scalar(reader, mapping, &path, &node);

	if (result)
		return result;
	if (!reader_is_text(reader, node, &path))
		return -1;
	*ret_text = node->text;
	return 0;
}

int reader_string(const struct reader *reader, const struct node *mapping,
		  const struct path *parent, const char *field, char **ret_value)
{
	struct path path = path_field(parent, field);
	struct span text;
	int result = reader_text(reader, mapping, parent, field, &text);

	if (result)
		return result;
	char *copy = span_copy(text);
	if (!copy) {
		reader_error(reader, node_get(mapping, field), &path, "out of memory");
		return -1;
	}
	*ret_value = copy;
	return 0;
}

int reader_unsigned(const struct reader *reader, const struct node *mapping,
		    const struct path *parent, const char *field, uint64_t minimum,
		    uint64_t maximum, uint64_t *ret_value)
{
	struct path path = path_field(parent, field);
	struct node *node;
	uint64_t value;
	int result = reader_scalar(reader, mapping, &path, &node);

	if (result)
		return result;
	/* YAML 1.1 would read 010 as 8. */
	bool octal = node->text.length > 1 && node->text.data[0] == '0';
	if (!node->plain || octal || parse_unsigned(node->text, maximum, &value) ||
	    value < minimum) {
		reader_error(reader, node, &path,
			     "must be a whole number from %" PRIu64 " to %" PRIu64 ", not \"%.*s\"",
			     minimum, maximum, SPAN_ARGUMENTS(node->text));
		return -1;
	}
	*ret_value = value;
	return 0;
}

int reader_bool(const struct reader *reader, const struct node *mapping, const struct path *parent,
		const char *field, bool *ret_value)
{
	struct path path = path_field(parent, field);
	struct node *node;
	int result = reader_scalar(reader, mapping, &path, &node);

	if (result)
		return result;
	bool is_true = span_equal(node->text, span_of("true"));
	if (!node->plain || (!is_true && !span_equal(node->text, span_of("false")))) {
		reader_error(reader, node, &path, "must be true or false, not \"%.*s\"",
			     SPAN_ARGUMENTS(node->text));
		return -1;
	}
	*ret_value = is_true;
	return 0;
}

/* Takes the digits off the front of *text; false if there is none, or the number is too large. */
static bool take_digits(struct span *text, uint64_t maximum, uint64_t *ret_value)
{
	size_t length = 0;

	while (length < text->length && text->data[length] >= '0' && text->data[length] <= '9')
		length++;
	if (parse_unsigned((struct span){text->data, length}, maximum, ret_value))
		return false;
	text->data += length;
	text->length -= length;
	return true;
}

/* The digits behind the point, each worth a tenth of the one before; false if `scale` is too
 * coarse. */
static bool take_fraction(struct span *text, uint64_t scale, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t length = 0;

	for (; length < text->length; length++) {
		unsigned digit = (unsigned char)text->data[length] - (unsigned)'0';

		if (digit > 9)
			break;
		if (digit && scale % 10)
			return false;
		scale /= 10;
		value += digit * scale;
	}
	text->data += length;
	text->length -= length;
	*ret_value = value;
	return length > 0;
}

/* Takes 12 or 12.5 off the front of *text, in units of 1 / scale. */
static bool take_decimal(struct span *text, uint64_t scale, uint64_t maximum, uint64_t *ret_value)
{
	uint64_t whole, fraction = 0;

	if (!take_digits(text, maximum / scale, &whole))
		return false;
	if (text->length && *text->data == '.') {
		text->data++;
		text->length--;
		if (!take_fraction(text, scale, &fraction))
			return false;
	}
	if (fraction > maximum - whole * scale)
		return false;
	*ret_value = whole * scale + fraction;
	return true;
}

int reader_decimal(const struct reader *reader, const struct node *mapping,
		   const struct path *parent, const char *field, uint64_t scale, uint64_t maximum,
		   uint64_t *ret_value)
{
	struct path path = path_field(parent, field);
	struct node *node;
	uint64_t value;
	int result = reader_scalar(reader, mapping, &path, &node);

	if (result)
		return result;
	struct span text = node->text;
	if (!node->plain || !take_decimal(&text, scale, maximum, &value) || text.length) {
		reader_error(reader, node, &path,
			     "must be a number from 0 to %g in steps of %g, not \"%.*s\"",
			     (double)maximum / (double)scale, 1 / (double)scale,
			     SPAN_ARGUMENTS(node->text));
		return -1;
	}
	*ret_value = value;
	return 0;
}

static bool take_unit(struct span *text, uint64_t *ret_nanoseconds)
{
	/* Longer names before those that they begin with. */
	static const struct {
		const char *name;
		uint64_t nanoseconds;
	} units[] = {
		{"ns", 1},
		{"us", 1000},
		{"ms", 1000000},
		{"s", 1000000000},
		{"m", UINT64_C(60) * 1000000000},
		{"h", UINT64_C(3600) * 1000000000},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		struct span name = span_of(units[i].name);

		if (!span_starts_with(*text, name))
			continue;
		text->data += name.length;
		text->length -= name.length;
		*ret_nanoseconds = units[i].nanoseconds;
		return true;
	}
	return false;
}

/* The unit stands behind its number, but is needed to read it: looked up first. */
static bool parse_duration(struct span text, uint64_t *ret_milliseconds)
{
	uint64_t sum = 0;

	if (text.length == 0)
		return false;
	while (text.length) {
		size_t number = strspn(text.data, "0123456789.");
		struct span digits = {text.data, number < text.length ? number : text.length};
		struct span rest = {text.data + digits.length, text.length - digits.length};
		uint64_t unit, part;

		if (!take_unit(&rest, &unit))
			return false;
		if (!take_decimal(&digits, unit, READER_MAX_DURATION_NS - sum, &part) ||
		    digits.length)
			return false;
		sum += part;
		text = rest;
	}
	if (sum % 1000000)
		return false;
	*ret_milliseconds = sum / 1000000;
	return true;
}

int reader_duration_ms(const struct reader *reader, const struct node *mapping,
		       const struct path *parent, const char *field, uint64_t *ret_value)
{
	struct path path = path_field(parent, field);
	struct node *node;
	int result = reader_scalar(reader, mapping, &path, &node);

	if (result)
		return result;
	if (!parse_duration(node->text, ret_value)) {
		reader_error(reader, node, &path,
			     "must be a duration such as 1h, 1m30s, 0.5s or 250ms (whole "
			     "milliseconds, at most 366 days), not \"%.*s\"",
			     SPAN_ARGUMENTS(node->text));
		return -1;
	}
	return 0;
}

struct node *reader_child(const struct reader *reader, const struct node *mapping,
			  const struct path *parent, const char *field, enum node_kind kind)
{
	static const char *const names[] = {
		[NODE_SCALAR] = "single value",
		[NODE_SEQUENCE] = "list",
		[NODE_MAPPING] = "mapping",
	};
	struct path path = path_field(parent, field);
	struct node *node = node_get(mapping, field);

	if (node_is_null(node))
		return NULL;
	if (node->kind != kind) {
		reader_error(reader, node, &path, "must be a %s, not a %s", names[kind],
			     names[node->kind]);
		return NULL;
	}
	return node;
}

struct span reader_item_text(const struct reader *reader, const struct node *node,
			     const struct path *path)
{
	const struct span none = {0};

	if (node->kind != NODE_SCALAR || node_is_null(node)) {
		reader_error(reader, node, path, "must be a text");
		return none;
	}
	return reader_is_text(reader, node, path) ? node->text : none;
}
