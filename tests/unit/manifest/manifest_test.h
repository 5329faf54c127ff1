/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the tests of manifests share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "manifest/node.h"

/* All diagnostics as one text, as `lanetag check` prints them; the caller frees it. */
static inline char *diagnostics_text(const struct diagnostics *diagnostics)
{
	char *text = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);

	assert_non_null(stream);
	diagnostics_print(diagnostics, stream);
	fclose(stream);
	return text;
}

static inline void assert_said(const struct diagnostics *diagnostics, const char *expected)
{
	char *text = diagnostics_text(diagnostics);

	if (!strstr(text, expected))
		fail_msg("expected \"%s\" in \"%s\"", expected, text);
	free(text);
}

static inline void assert_nothing_said(const struct diagnostics *diagnostics)
{
	char *text = diagnostics_text(diagnostics);

	assert_string_equal(text, "");
	free(text);
}
