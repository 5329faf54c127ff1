/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Answers of a real API server (tests/corpus/kubernetes/README.md). */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define RECORDED "tests/corpus/kubernetes/"

struct recorded {
	int status;
	struct buffer body;
};

/* Chunked bodies are put together (RFC 9112 7.1). */
static inline void recorded_unchunk(const char *bytes, struct buffer *body)
{
	char *end;
	size_t length;

	while ((length = strtoul(bytes, &end, 16)) > 0) {
		assert_memory_equal(end, "\r\n", 2);
		buffer_append(body, end + 2, length);
		bytes = end + 2 + length + 2;
	}
}

static inline struct recorded recorded_read(const char *name)
{
	struct recorded answer = {0};
	char path[200], bytes[64 * 1024];

	snprintf(path, sizeof(path), RECORDED "%s.response", name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t length = fread(bytes, 1, sizeof(bytes) - 1, file);
	fclose(file);
	assert_true(length > 0 && length < sizeof(bytes) - 1);
	bytes[length] = '\0';
	char *body = strstr(bytes, "\r\n\r\n");
	assert_non_null(body);
	*body = '\0';
	answer.status = atoi(bytes + strlen("HTTP/1.1 "));
	if (strstr(bytes, "chunked"))
		recorded_unchunk(body + 4, &answer.body);
	else
		buffer_append(&answer.body, body + 4, length - (size_t)(body + 4 - bytes));
	return answer;
}
