/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How libraries read a field of baggage and write it again: each a few lines by the rules of its
 * source, named above it. Text of any bytes in, text out; at most LIBRARY_BYTES. What a library
 * leaves out (limits, its own checks of what it decoded) is left out here where that lets more
 * pass.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY_BYTES 65536

struct library_text {
	size_t length;
	char bytes[LIBRARY_BYTES];
};

static inline void library_put(struct library_text *text, const char *bytes, size_t length)
{
	if (text->length + length > sizeof(text->bytes))
		__builtin_trap();
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

static inline void library_copy(const char *bytes, size_t length, struct library_text *out)
{
	out->length = 0;
	library_put(out, bytes, length);
}

static inline int library_digit(int byte)
{
	return isdigit(byte) ? byte - '0' : isxdigit(byte) ? tolower(byte) - 'a' + 10 : -1;
}

/* Escapes, where they are whole, and '+' as a space where the library takes it so. */
static inline struct library_text *library_decode(const char *bytes, size_t length, bool plus,
						  struct library_text *out)
{
	out->length = 0;
	for (size_t i = 0; i < length; i++) {
		int high = i + 2 < length ? library_digit((unsigned char)bytes[i + 1]) : -1;
		int low = i + 2 < length ? library_digit((unsigned char)bytes[i + 2]) : -1;
		char byte = bytes[i];

		if (byte == '%' && high >= 0 && low >= 0) {
			byte = (char)(high * 16 + low);
			i += 2;
		} else if (byte == '+' && plus) {
			byte = ' ';
		}
		library_put(out, &byte, 1);
	}
	return out;
}

static inline void library_encode(const struct library_text *text, const char *plain,
				  struct library_text *out)
{
	for (size_t i = 0; i < text->length; i++) {
		unsigned char byte = (unsigned char)text->bytes[i];
		char escape[4];

		if (byte && (isalnum(byte) || strchr(plain, byte))) {
			library_put(out, &text->bytes[i], 1);
			continue;
		}
		snprintf(escape, sizeof(escape), "%%%02X", byte);
		library_put(out, escape, 3);
	}
}

/* How many bytes of white space stand at the front (or the end): ASCII, NEL, NBSP, U+2000 and on. */
static inline size_t library_space(const char *bytes, size_t length, bool at_end)
{
	unsigned char edge = length ? (unsigned char)(at_end ? bytes[length - 1] : bytes[0]) : 'x';

	static const char *const spaces[] = {" ",
					     "\t",
					     "\n",
					     "\v",
					     "\f",
					     "\r",
					     "\x1c",
					     "\x1d",
					     "\x1e",
					     "\x1f",
					     "\xc2\x85",
					     "\xc2\xa0",
					     "\xa0",
					     "\x85",
					     "\xe1\x9a\x80",
					     "\xe2\x80\x80",
					     "\xe2\x80\x83",
					     "\xe2\x80\x89",
					     "\xe2\x80\x8a",
					     "\xe2\x80\xa8",
					     "\xe2\x80\xa9",
					     "\xe2\x80\xaf",
					     "\xe2\x81\x9f",
					     "\xe3\x80\x80",
					     "\xef\xbb\xbf"};

	if (edge > ' ' && edge < 0x7f)
		return 0;
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		size_t size = strlen(spaces[i]);

		if (size <= length &&
		    memcmp(at_end ? bytes + length - size : bytes, spaces[i], size) == 0)
			return size;
	}
	/* trim() of PHP takes NUL, too. */
	return length && (at_end ? bytes[length - 1] : bytes[0]) == '\0';
}

static inline void library_trim(struct library_text *text)
{
	size_t size;

	while ((size = library_space(text->bytes, text->length, true)))
		text->length -= size;
	while ((size = library_space(text->bytes, text->length, false))) {
		text->length -= size;
		memmove(text->bytes, text->bytes + size, text->length);
	}
}

/* What makes most libraries: split at ',', ';' and '=', trim, decode, trim; encode what comes out. */
struct library_rules {
	const char *name;
	bool plus;		     /* '+' is a space */
	bool without_space;	     /* white space goes everywhere */
	bool lower;		     /* keys in lower case */
	bool value_to_second_equals; /* a value ends at another '=' */
	bool properties_in_value;
	bool decodes_properties; /* and writes them as they come out */
	bool keeps_key;		 /* neither decodes nor encodes it */
	bool before_splitting;	 /* decodes the member, then splits it */
	const char *plain;	 /* beside letters and digits, not encoded */
};

static const struct library_rules library_rules[] = {
	/* opentelemetry-js, core/src/baggage/utils.ts */
	{.name = "js", .plain = "-_.!~*'()"},
	/* opentelemetry-python, baggage/propagation/__init__.py; before 1.12 in lower case */
	{.name = "python", .plus = true, .properties_in_value = true, .plain = "_.-~"},
	{.name = "python, old",
	 .plus = true,
	 .lower = true,
	 .before_splitting = true,
	 .properties_in_value = true,
	 .plain = "_.-~"},
	/* opentelemetry-php, API/Baggage/Propagation/Parser.php */
	{.name = "php", .plus = true, .plain = "-_."},
	/* opentelemetry-ruby, baggage/propagation/text_map_propagator.rb */
	{.name = "ruby", .without_space = true, .value_to_second_equals = true, .plain = "*-._"},
	{.name = "ruby, old",
	 .plus = true,
	 .without_space = true,
	 .value_to_second_equals = true,
	 .plain = "*-._~"},
	/* opentelemetry-go, baggage/baggage.go: strings.TrimSpace, keys as they stand */
	{.name = "go", .keeps_key = true, .plain = "!#$&'()*+-./:<=>?@[]^_`{|}~"},
	/* opentelemetry-dotnet, Context/Propagation/BaggagePropagator.cs: WebUtility.UrlDecode */
	{.name = "dotnet", .plus = true, .properties_in_value = true, .plain = "-_.!*()"},
	/* opentelemetry-rust, propagation/baggage.rs: properties come out decoded */
	{.name = "rust",
	 .value_to_second_equals = true,
	 .decodes_properties = true,
	 .plain = "!#$%&'()*+-./:<>?@[\\]^_`{|}~"},
	/* opentelemetry-cpp, baggage/baggage.h */
	{.name = "cpp", .plus = true, .plain = "-_.~"},
};

#define LIBRARIES (sizeof(library_rules) / sizeof(library_rules[0]) + 1) /* and Java's */

static inline size_t library_find(const char *bytes, size_t length, char byte)
{
	const char *at = length ? memchr(bytes, byte, length) : NULL;

	return at ? (size_t)(at - bytes) : length;
}

static inline void library_properties(const struct library_rules *rules, const char *bytes,
				      size_t length, struct library_text *out)
{
	static struct library_text decoded;

	if (length == 0)
		return;
	library_put(out, ";", 1);
	if (!rules->decodes_properties) {
		library_put(out, bytes, length);
		return;
	}
	library_decode(bytes, length, false, &decoded);
	library_put(out, decoded.bytes, decoded.length);
}

/* The member as it is looked at: a library may take white space out or decode it first of all. */
static inline void library_prepare(const struct library_rules *rules, const char *bytes,
				   size_t length, struct library_text *member)
{
	static struct library_text raw;

	raw.length = 0;
	for (size_t i = 0; i < length; i++) {
		if (!rules->without_space || !library_space(bytes + i, 1, false))
			library_put(&raw, bytes + i, 1);
	}
	if (rules->before_splitting)
		library_decode(raw.bytes, raw.length, rules->plus, member);
	else
		library_copy(raw.bytes, raw.length, member);
	library_trim(member);
}

static inline void library_key(const struct library_rules *rules, const char *bytes, size_t length,
			       struct library_text *key)
{
	static struct library_text raw;

	library_copy(bytes, length, key);
	library_trim(key);
	if (!rules->keeps_key) {
		library_copy(key->bytes, key->length, &raw);
		library_decode(raw.bytes, raw.length, rules->plus, key);
	}
	library_trim(key);
	for (size_t i = 0; rules->lower && i < key->length; i++)
		key->bytes[i] = (char)tolower((unsigned char)key->bytes[i]);
}

static inline void library_member(const struct library_rules *rules, const char *bytes,
				  size_t length, struct library_text *out)
{
	static struct library_text member, key, value;

	library_prepare(rules, bytes, length, &member);
	size_t pair = rules->properties_in_value ? member.length
						 : library_find(member.bytes, member.length, ';');
	size_t equals = library_find(member.bytes, pair, '=');
	if (equals == pair)
		return;
	size_t end = rules->value_to_second_equals ? equals + 1 +
							     library_find(member.bytes + equals + 1,
									  pair - equals - 1, '=')
						   : pair;
	library_key(rules, member.bytes, equals, &key);
	library_decode(member.bytes + equals + 1, end - equals - 1, rules->plus, &value);
	library_trim(&value);
	if (out->length)
		library_put(out, ",", 1);
	if (rules->keeps_key)
		library_put(out, key.bytes, key.length);
	else
		library_encode(&key, rules->plain, out);
	library_put(out, "=", 1);
	library_encode(&value, rules->plain, out);
	if (pair < member.length)
		library_properties(rules, member.bytes + pair + 1, member.length - pair - 1, out);
}

/*
 * opentelemetry-java, baggage/propagation/Parser.java: one pass; ';' counts only behind a value, a
 * key is what stands between white space without any in it.
 */
static inline void library_java_member(const char *bytes, size_t length, struct library_text *out)
{
	static struct library_text key, value;
	bool in_value = false, was_space = false;
	size_t i;

	key.length = value.length = 0;
	for (i = 0; i < length; i++) {
		struct library_text *element = in_value ? &value : &key;
		char byte = bytes[i];

		if (byte == '=' && !in_value) {
			if (!key.length)
				return;
			in_value = true;
			was_space = false;
		} else if (byte == ';' && in_value) {
			break;
		} else if (byte == ' ' || byte == '\t') {
			was_space = element->length > 0;
		} else if (byte != ';' && byte != '=') {
			if (was_space || byte <= 32 || byte == 127)
				return;
			library_put(element, &byte, 1);
		}
	}
	if (!in_value || !value.length)
		return;
	if (out->length)
		library_put(out, ",", 1);
	library_put(out, key.bytes, key.length);
	library_put(out, "=", 1);
	library_put(out, value.bytes, value.length);
	if (i < length)
		library_put(out, bytes + i, length - i);
}

/* What the library sends on of this baggage. */
static inline void library_pass_on(size_t library, const struct library_text *in,
				   struct library_text *out)
{
	size_t from = 0;

	out->length = 0;
	while (from < in->length) {
		size_t length = library_find(in->bytes + from, in->length - from, ',');

		if (library + 1 < LIBRARIES)
			library_member(&library_rules[library], in->bytes + from, length, out);
		else
			library_java_member(in->bytes + from, length, out);
		from += length + 1;
	}
}

static inline const char *library_name(size_t library)
{
	return library + 1 < LIBRARIES ? library_rules[library].name : "java";
}
