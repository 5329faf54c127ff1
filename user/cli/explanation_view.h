/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* An explanation as text and as JSON. */
#include "release/explanation.h"

/* Append to `out`. `id` is a field value. Text: several lines; JSON: one object in one line. */
void explanation_write_text(const struct configuration *configuration, struct span id,
			    const struct explained_target *target, struct buffer *out);
/* What of a rule's JSON is the same for all users: before its numbers, and its tag value. */
struct explained_words;
struct explained_words *
explained_words_new(const struct configuration *configuration); /* or NULL */
void explained_words_free(struct explained_words *words);
void explanation_write_json(const struct configuration *configuration,
			    const struct explained_words *words, struct span id,
			    const struct explained_target *target, struct buffer *out);
