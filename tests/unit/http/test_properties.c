/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A short and repeatable run of what `make fuzz` does for long: inputs of the fuzzer's corpus,
 * mutated by a fixed random sequence, all flush against an unreadable page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>

#include "base/array.h"
#include "fuzz/http_properties.h"
#include "unit/http/guarded.h"

#define CORPUS "tests/fuzz/corpus/http"
#define ROUNDS 150000
#define MAXIMUM_BYTES 4000

static struct input {
	char bytes[MAXIMUM_BYTES];
	size_t length;
} inputs[64];

static size_t input_count;
static uint64_t random_state = 88172645463325252ULL;

static size_t random_below(size_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % bound);
}

static int read_corpus(void **state)
{
	struct dirent **entries;
	char path[512];
	int count = scandir(CORPUS, &entries, NULL, alphasort); /* the same order everywhere */

	(void)state;
	for (int i = 0; i < count && input_count < ARRAY_LENGTH(inputs); i++) {
		snprintf(path, sizeof(path), CORPUS "/%s", entries[i]->d_name);
		FILE *file = entries[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
		if (file) {
			struct input *input = &inputs[input_count++];
			input->length = fread(input->bytes, 1, MAXIMUM_BYTES / 4, file);
			fclose(file);
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return input_count ? 0 : -1;
}

/* What parsers have stumbled over. */
static const struct span pieces[] = {
	{"\r", 1},
	{"\n", 1},
	{"\r\n", 2},
	{"\0", 1},
	{" ", 1},
	{"\t", 1},
	{":", 1},
	{",", 1},
	{"\r\n\r\n", 4},
	{"\r\n ", 3},
	{"0", 1},
	{"\x7f", 1},
	{"\xff", 1},
	{";", 1},
	{"-", 1},
	{"Content-Length: 5\r\n", 19},
	{"Transfer-Encoding: chunked\r\n", 28},
	{"Host: b\r\n", 9},
	{"Connection: host, content-length, te\r\n", 38},
	{"chunked", 7},
	{"http://", 7},
	{"?", 1},
	{"HTTP/1.0", 8},
	{"0\r\n\r\n", 5},
	{"ffffffffffffffff", 16},
	{"_", 1},
	{"[", 1},
};

static void insert(struct input *input, size_t at, struct span piece)
{
	if (input->length + piece.length > MAXIMUM_BYTES)
		return;
	memmove(input->bytes + at + piece.length, input->bytes + at, input->length - at);
	memcpy(input->bytes + at, piece.data, piece.length);
	input->length += piece.length;
}

static void mutate(struct input *input)
{
	size_t at = random_below(input->length + 1), length;

	switch (random_below(5)) {
	case 0: /* one byte of any value */
		if (at < input->length)
			input->bytes[at] = (char)random_below(256);
		break;
	case 1: /* a piece left out */
		length = random_below(8) + 1;
		if (at + length <= input->length) {
			memmove(input->bytes + at, input->bytes + at + length,
				input->length - at - length);
			input->length -= length;
		}
		break;
	case 2: /* a piece twice */
		length = random_below(40) + 1;
		if (at + length <= input->length) {
			char copy[40];
			memcpy(copy, input->bytes + at, length);
			insert(input, random_below(input->length + 1), (struct span){copy, length});
		}
		break;
	default:
		insert(input, at, pieces[random_below(ARRAY_LENGTH(pieces))]);
	}
}

static void every_input_of_the_corpus_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < input_count; i++) {
		for (size_t cut = 0; cut < 256; cut++) {
			struct guarded data = guarded_copy(inputs[i].bytes, inputs[i].length);
			data.data[1] = (char)cut;
			check_http(data.data, inputs[i].length);
			guarded_free(&data);
		}
	}
}

static void mutated_inputs_hold(void **state)
{
	static struct input input;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		input = inputs[random_below(input_count)];
		for (size_t i = random_below(6) + 1; i; i--)
			mutate(&input);
		struct guarded data = guarded_copy(input.bytes, input.length);
		check_http(data.data, input.length);
		guarded_free(&data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_input_of_the_corpus_holds),
		cmocka_unit_test(mutated_inputs_hold),
	};
	return cmocka_run_group_tests(tests, read_corpus, NULL);
}
