/* SPDX-License-Identifier: GPL-2.0-only */
#include "policy/spelling.h"

#include "http/syntax.h"
#include "http/values.h"

static bool is_alphanumeric(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= 'a' && byte <= 'z');
}

/* White space, controls, what is not ASCII, and '+', which may be white space. */
static bool is_blank(char byte)
{
	return (unsigned char)byte <= 0x20 || (unsigned char)byte >= 0x7f || byte == '+';
}

static void add(struct spelling *spelling, char byte)
{
	if (spelling->length == SPELLING_MAX_BYTES)
		spelling->is_cut = true;
	else
		spelling->text[spelling->length++] =
			is_alphanumeric(byte) ? ascii_lower(byte) : '-';
}

void spelling_of_field(struct span name, struct spelling *ret_spelling)
{
	ret_spelling->length = 0;
	ret_spelling->is_cut = false;
	for (size_t i = 0; i < name.length && !ret_spelling->is_cut; i++)
		add(ret_spelling, name.data[i]);
}

static void spelling_without_blanks(struct span name, struct spelling *ret_spelling)
{
	ret_spelling->length = 0;
	ret_spelling->is_cut = false;
	for (size_t i = 0; i < name.length && !ret_spelling->is_cut; i++) {
		if (!is_blank(name.data[i]))
			add(ret_spelling, name.data[i]);
	}
}

static int compare(const struct spelling *a, const struct spelling *b)
{
	size_t length = a->length < b->length ? a->length : b->length;
	int order = memcmp(a->text, b->text, length);

	return order ? order : (int)a->length - (int)b->length;
}

/* How many of the set come before `spelling` or are it. */
static size_t count_up_to(const struct spelling_set *set, const struct spelling *spelling)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare(&set->spellings[middle], spelling) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool spelling_set_has(const struct spelling_set *set, const struct spelling *spelling)
{
	size_t place = count_up_to(set, spelling);

	return place && !spelling->is_cut && compare(&set->spellings[place - 1], spelling) == 0;
}

static void insert(struct spelling_set *set, const struct spelling *spelling)
{
	size_t place = count_up_to(set, spelling);

	memmove(&set->spellings[place + 1], &set->spellings[place],
		(set->count - place) * sizeof(set->spellings[0]));
	set->spellings[place] = *spelling;
	set->count++;
}

void spelling_set_add(struct spelling_set *set, struct span name)
{
	struct spelling spelling;

	spelling_of_field(name, &spelling);
	if (!spelling_set_has(set, &spelling))
		insert(set, &spelling);
}

static bool starts_with(const struct spelling *spelling, const struct spelling *start)
{
	return spelling->length >= start->length &&
	       memcmp(spelling->text, start->text, start->length) == 0;
}

/* No member of a set of starts is another's start: the one before is the only one that can be. */
static bool has_start_of(const struct spelling_set *starts, const struct spelling *spelling)
{
	size_t place = count_up_to(starts, spelling);

	return place && starts_with(spelling, &starts->spellings[place - 1]);
}

static struct span from_first_alphanumeric(struct span name)
{
	while (name.length && !is_alphanumeric(*name.data))
		name = (struct span){name.data + 1, name.length - 1};
	return name;
}

static uint64_t first_bit(char first)
{
	return UINT64_C(1) << (ascii_lower(first) & 63);
}

void spelling_set_add_start(struct spelling_set *set, struct span name)
{
	struct spelling spelling;
	size_t kept = 0;

	spelling_of_field(from_first_alphanumeric(name), &spelling);
	if (!spelling.length || has_start_of(set, &spelling))
		return;
	for (size_t i = 0; i < set->count; i++) {
		if (!starts_with(&set->spellings[i], &spelling))
			set->spellings[kept++] = set->spellings[i];
	}
	set->count = kept;
	set->firsts |= first_bit(spelling.text[0]);
	insert(set, &spelling);
}

/* As servers read a field's name, and as libraries read a key of baggage. */
static bool is_start(const struct spelling_set *starts, struct span name)
{
	struct spelling spelling;

	name = from_first_alphanumeric(name);
	if (!name.length || !(starts->firsts & first_bit(*name.data)))
		return false;
	spelling_of_field(name, &spelling);
	if (has_start_of(starts, &spelling))
		return true;
	spelling_without_blanks(name, &spelling);
	return has_start_of(starts, &spelling);
}

/* What a list may be cut at once escapes are decoded. */
static bool ends_name(char byte)
{
	return byte == ',' || byte == ';';
}

static bool starts_as_it_stands(const struct spelling_set *starts, struct span text)
{
	size_t from = 0;

	while (from < text.length) {
		size_t to = from;

		while (to < text.length && !ends_name(text.data[to]) && text.data[to] != '=')
			to++;
		if (is_start(starts, (struct span){text.data + from, to - from}))
			return true;
		while (to < text.length && !ends_name(text.data[to]))
			to++;
		from = to + 1;
	}
	return false;
}

static bool has_escape(struct span text)
{
	return text.length && memchr(text.data, '%', text.length);
}

/* Until no escape is left: what comes out may make another one with what stands before it. */
static size_t decode_fully(struct span text, char *memory)
{
	size_t length = 0;

	for (size_t i = 0; i < text.length; i++) {
		memory[length++] = text.data[i];
		while (length >= 3 && memory[length - 3] == '%') {
			int high = http_hex_digit(memory[length - 2]);
			int low = http_hex_digit(memory[length - 1]);

			if (high < 0 || low < 0)
				break;
			memory[length - 3] = (char)(high << 4 | low);
			length -= 2;
		}
	}
	return length;
}

bool spelling_starts_in(const struct spelling_set *set, struct span text, struct buffer *scratch)
{
	if (starts_as_it_stands(set, text))
		return true;
	if (!has_escape(text))
		return false;
	char *memory = buffer_reserve(scratch, text.length);
	if (!memory)
		return true; /* what cannot be looked at is not ours to let through */
	for (unsigned times = 1; times <= 3; times++) {
		/* In place: nothing gets longer. */
		size_t length = times < 3 ? http_percent_decode_loosely(text, memory)
					  : decode_fully(text, memory);

		text = (struct span){memory, length};
		if (starts_as_it_stands(set, text))
			return true;
	}
	return false;
}
