/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The longest common run of lines by the plain table, behind what begins and ends alike. Where the
 * rest is too large for a table it is shown as replaced.
 */
#include "text/text_diff.h"

#include <stdint.h>

#include "base/array.h"

#define CONTEXT 3
#define MAX_TABLE ((size_t)16 << 20)

struct line {
	struct span text;
	char sign; /* ' ', '-', '+' */
};

struct lines {
	struct line *items;
	size_t count;
};

static bool add_line(struct lines *lines, struct span text, char sign)
{
	struct line *line = ARRAY_APPEND(lines->items, lines->count);

	if (line)
		*line = (struct line){text, sign};
	return line;
}

static bool split(struct span text, struct lines *lines)
{
	struct span line;

	while (text.length) {
		span_cut(text, '\n', &line, &text);
		if (!add_line(lines, line, ' '))
			return false;
	}
	return true;
}

static void add_lines(struct lines *out, const struct line *lines, size_t count, char sign)
{
	for (size_t i = 0; i < count; i++)
		add_line(out, lines[i].text, sign);
}

/* What differs: old[0 .. n) against new[0 .. m). */
static void merge(const struct line *old, size_t n, const struct line *new, size_t m,
		  struct lines *out)
{
	uint32_t *table =
		(n + 1) * (m + 1) <= MAX_TABLE ? calloc((n + 1) * (m + 1), sizeof(*table)) : NULL;
	size_t i = 0, j = 0;

	for (size_t row = n; table && row-- > 0;) {
		for (size_t column = m; column-- > 0;) {
			uint32_t down = table[(row + 1) * (m + 1) + column];
			uint32_t right = table[row * (m + 1) + column + 1];

			table[row * (m + 1) + column] =
				span_equal(old[row].text, new[column].text)
					? table[(row + 1) * (m + 1) + column + 1] + 1
				: down >= right ? down
						: right;
		}
	}
	while (table && i < n && j < m) {
		if (span_equal(old[i].text, new[j].text)) {
			add_line(out, old[i++].text, ' ');
			j++;
		} else if (table[(i + 1) * (m + 1) + j] >= table[i * (m + 1) + j + 1]) {
			add_line(out, old[i++].text, '-');
		} else {
			add_line(out, new[j++].text, '+');
		}
	}
	add_lines(out, old + i, n - i, '-');
	add_lines(out, new + j, m - j, '+');
	free(table);
}

/* Where the hunk that begins at the change `at` ends: behind it no change is near. */
static size_t hunk_end(const struct lines *merged, size_t at)
{
	size_t end = at + 1;

	for (size_t i = at; i < merged->count && i <= end + 2 * CONTEXT; i++) {
		if (merged->items[i].sign != ' ')
			end = i + 1;
	}
	return end + CONTEXT < merged->count ? end + CONTEXT : merged->count;
}

static void print_hunk(const struct lines *merged, size_t from, size_t to, const size_t before[2],
		       struct buffer *out)
{
	size_t counts[2] = {0, 0};

	for (size_t i = from; i < to; i++) {
		counts[0] += merged->items[i].sign != '+';
		counts[1] += merged->items[i].sign != '-';
	}
	buffer_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", before[0] + (counts[0] > 0), counts[0],
		      before[1] + (counts[1] > 0), counts[1]);
	for (size_t i = from; i < to; i++) {
		buffer_append_byte(out, merged->items[i].sign);
		buffer_append_span(out, merged->items[i].text);
		buffer_append_byte(out, '\n');
	}
}

static void print_hunks(const struct lines *merged, struct buffer *out)
{
	size_t before[2] = {0, 0}, counted = 0;

	for (size_t i = 0; i < merged->count; i++) {
		if (merged->items[i].sign == ' ')
			continue;
		size_t from = i > counted + CONTEXT ? i - CONTEXT : counted;
		size_t to = hunk_end(merged, i);

		for (; counted < to; counted++) {
			if (counted == from)
				print_hunk(merged, from, to, before, out);
			before[0] += merged->items[counted].sign != '+';
			before[1] += merged->items[counted].sign != '-';
		}
		i = to - 1;
	}
}

void text_diff(struct span old, struct span new, struct buffer *out)
{
	struct lines a = {0}, b = {0}, merged = {0};
	size_t head = 0, tail = 0;

	if (split(old, &a) && split(new, &b)) {
		size_t least = a.count < b.count ? a.count : b.count;

		while (head < least && span_equal(a.items[head].text, b.items[head].text))
			head++;
		while (tail < least - head && span_equal(a.items[a.count - 1 - tail].text,
							 b.items[b.count - 1 - tail].text))
			tail++;
		add_lines(&merged, a.items, head, ' ');
		merge(a.items + head, a.count - head - tail, b.items + head, b.count - head - tail,
		      &merged);
		add_lines(&merged, a.items + (a.count - tail), tail, ' ');
		print_hunks(&merged, out);
	} else {
		out->failed = true;
	}
	free(a.items);
	free(b.items);
	free(merged.items);
}
