/* SPDX-License-Identifier: GPL-2.0-only */
#include "config/salvage.h"

#include <stdlib.h>

#include "base/array.h"
#include "manifest/pieces.h"
#include "manifest/stub.h"

/* A round settles all resources that are wrong by then; what they held up can only come after. */
#define MAX_ROUNDS 32

enum part_state {
	PART_NEW,	/* as the files have it */
	PART_LAST_GOOD, /* as it is in force */
	PART_STUB,	/* manifest/stub.h */
	PART_OUT,
};

/* A resource of the configuration that is tried. */
struct part {
	size_t file; /* of files[] */
	const struct manifest_piece *piece;
	const struct manifest_piece *last_good; /* the same resource as it is in force; or NULL */
	enum part_state state;
	char *reason;		 /* owned; NULL: nothing is wrong with it */
	bool has_lost_route;	 /* the reason is a route error's */
	unsigned line, end_line; /* in the text that is tried; lines < end_line */
};

struct salvage {
	const struct salvage_source *source;
	struct manifest_file *files; /* as they were read */
	size_t file_count;
	struct manifest_pieces pieces, in_force;
	const struct manifest_piece **sorted; /* of in_force */
	struct part *parts;
	size_t part_count;
	size_t unreadable;
	bool has_lost_source;
	struct manifest_file *tried;
};

static int compare_pieces(const void *left, const void *right)
{
	const struct manifest_piece *a = *(const struct manifest_piece *const *)left;
	const struct manifest_piece *b = *(const struct manifest_piece *const *)right;
	int order = strcmp(a->kind, b->kind);

	if (!order)
		order = strcmp(a->group, b->group);
	if (!order)
		order = strcmp(a->namespace, b->namespace);
	return order ? order : strcmp(a->name, b->name);
}

static int read_in_force(struct salvage *salvage)
{
	const struct salvage_source *source = salvage->source;
	bool whole;

	for (size_t i = 0; i < source->in_force_count; i++) {
		if (manifest_pieces_read(&source->in_force[i], &salvage->in_force, &whole))
			return -1;
	}
	salvage->sorted = calloc(salvage->in_force.count + 1, sizeof(*salvage->sorted));
	if (!salvage->sorted)
		return -1;
	for (size_t i = 0; i < salvage->in_force.count; i++)
		salvage->sorted[i] = &salvage->in_force.items[i];
	qsort(salvage->sorted, salvage->in_force.count, sizeof(*salvage->sorted), compare_pieces);
	return 0;
}

static const struct manifest_piece *find_last_good(const struct salvage *salvage,
						   const struct manifest_piece *piece)
{
	if (!*piece->name || !salvage->in_force.count)
		return NULL;
	const struct manifest_piece *const *found =
		bsearch(&piece, salvage->sorted, salvage->in_force.count, sizeof(*salvage->sorted),
			compare_pieces);
	/* What is in the place of one that never was good is no good version of it. */
	return found && !manifest_is_stub(*found) ? *found : NULL;
}

static struct part *add_part(struct salvage *salvage, size_t file,
			     const struct manifest_piece *piece)
{
	struct part *part = ARRAY_APPEND(salvage->parts, salvage->part_count);

	if (part)
		*part = (struct part){.file = file, .piece = piece};
	return part;
}

/* What is in force of a file stays so. The number of its resources, or -1 when memory is short. */
static int keep_file(struct salvage *salvage, size_t file)
{
	int count = 0;

	for (size_t i = 0; i < salvage->in_force.count; i++) {
		const struct manifest_piece *piece = &salvage->in_force.items[i];

		if (strcmp(piece->file->name, salvage->files[file].name) != 0)
			continue;
		struct part *part = add_part(salvage, file, piece);
		if (!part)
			return -1;
		part->last_good = piece;
		part->state = PART_LAST_GOOD;
		count++;
	}
	return count;
}

/* pieces.items[from .. to - 1] are a file's. */
struct piece_range {
	size_t from, to;
	bool whole;
};

static int make_parts(struct salvage *salvage, const struct piece_range *ranges)
{
	for (size_t i = 0; i < salvage->file_count; i++) {
		int kept = ranges[i].whole ? 0 : keep_file(salvage, i);

		salvage->unreadable += !ranges[i].whole;
		if (kept < 0)
			return -1;
		salvage->has_lost_source |= !ranges[i].whole && kept == 0;
		for (size_t j = ranges[i].from; j < ranges[i].to && !kept; j++) {
			struct part *part = add_part(salvage, i, &salvage->pieces.items[j]);

			if (!part)
				return -1;
			part->last_good = find_last_good(salvage, part->piece);
		}
	}
	return 0;
}

static int read_parts(struct salvage *salvage)
{
	struct piece_range *ranges = calloc(salvage->file_count + 1, sizeof(*ranges));
	int error = ranges ? 0 : -1;

	for (size_t i = 0; i < salvage->file_count && !error; i++) {
		ranges[i].from = salvage->pieces.count;
		error = manifest_pieces_read(&salvage->files[i], &salvage->pieces,
					     &ranges[i].whole);
		ranges[i].to = salvage->pieces.count;
	}
	if (!error)
		error = make_parts(salvage, ranges);
	free(ranges);
	return error;
}

/* Files of a directory that cannot be read: as they are in force. The number, or -1. */
static int keep_directory(struct salvage *salvage, const char *path)
{
	size_t length = strlen(path);
	int kept = 0;

	for (size_t i = 0; i < salvage->source->in_force_count; i++) {
		const char *name = salvage->source->in_force[i].name;

		if (strncmp(name, path, length) != 0 || name[length] != '/')
			continue;
		struct manifest_file *file = ARRAY_APPEND(salvage->files, salvage->file_count);
		if (!file)
			return -1;
		*file = (struct manifest_file){.name = strdup(name)};
		if (!file->name)
			return -1;
		kept++;
	}
	return kept;
}

static bool is_path(const struct salvage_source *source, const char *file)
{
	for (size_t i = 0; file && i < source->path_count; i++) {
		if (strcmp(source->paths[i], file) == 0)
			return true;
	}
	return false;
}

static struct manifest_file *find_file(const struct salvage *salvage, const char *name)
{
	for (size_t i = 0; i < salvage->file_count; i++) {
		if (strcmp(salvage->files[i].name, name) == 0)
			return &salvage->files[i];
	}
	return NULL;
}

static void remove_file(struct salvage *salvage, struct manifest_file *file)
{
	size_t behind = &salvage->files[salvage->file_count] - (file + 1);

	free(file->name);
	free(file->text);
	memmove(file, file + 1, behind * sizeof(*file));
	salvage->file_count--;
}

/* What cannot be read is noted as a file without a text, though it may be a directory's path. */
static int keep_path(struct salvage *salvage, const char *path)
{
	int kept = keep_directory(salvage, path);
	struct manifest_file *file = find_file(salvage, path);

	if (file && kept > 0)
		remove_file(salvage, file);
	salvage->unreadable += !file && kept <= 0;
	return kept;
}

/* True if a path as a whole could not be read; its files are noted as unreadable. */
static bool note_unreadable_paths(struct salvage *salvage, const struct diagnostics *diagnostics,
				  bool *ret_failed)
{
	bool found = false;

	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];

		if (item->severity != DIAGNOSTIC_ERROR || item->line ||
		    !is_path(salvage->source, item->file))
			continue;
		found = true;
		if (keep_path(salvage, item->file) < 0)
			*ret_failed = true;
	}
	return found;
}

/* Line feeds at the end come and go with what is behind. */
static bool is_same_text(struct span one, struct span other)
{
	while (one.length && one.data[one.length - 1] == '\n')
		one.length--;
	while (other.length && other.data[other.length - 1] == '\n')
		other.length--;
	return span_equal(one, other);
}

static const struct manifest_piece *piece_in_force(const struct part *part)
{
	return part->state == PART_NEW	       ? part->piece
	       : part->state == PART_LAST_GOOD ? part->last_good
					       : NULL;
}

static void print_part(struct part *part, struct buffer *out)
{
	const struct manifest_piece *piece = piece_in_force(part);

	if (piece)
		manifest_piece_print(piece, out);
	else if (part->state == PART_STUB && manifest_stub_print(part->piece, out))
		part->state = PART_OUT;
}

static void free_tried(struct salvage *salvage)
{
	for (size_t i = 0; salvage->tried && i < salvage->file_count; i++)
		free(salvage->tried[i].text);
	free(salvage->tried);
	salvage->tried = NULL;
}

/* The files with each part as its state says. 0, or -1 when memory is short. */
static int compose(struct salvage *salvage)
{
	size_t next = 0;

	free_tried(salvage);
	salvage->tried = calloc(salvage->file_count + 1, sizeof(*salvage->tried));
	for (size_t i = 0; salvage->tried && i < salvage->file_count; i++) {
		struct buffer text = {0};
		unsigned line = 1;

		for (; next < salvage->part_count && salvage->parts[next].file == i; next++) {
			struct part *part = &salvage->parts[next];
			size_t before = text.length;

			print_part(part, &text);
			part->line = line;
			line += manifest_text_lines(
				(struct span){text.data + before, text.length - before});
			part->end_line = line;
		}
		if (!text.length)
			buffer_append_byte(&text, '\n');
		if (text.failed) {
			buffer_free(&text);
			return -1;
		}
		salvage->tried[i] =
			(struct manifest_file){salvage->files[i].name, text.data, text.length};
	}
	return salvage->tried ? 0 : -1;
}

/* The part that a place is in: of the files as they are, or (`tried`) of the text that was tried. */
static struct part *find_part(const struct salvage *salvage, const char *file, unsigned line,
			      unsigned column, bool tried)
{
	for (size_t i = 0; file && line && i < salvage->part_count; i++) {
		struct part *part = &salvage->parts[i];

		if (strcmp(salvage->files[part->file].name, file) != 0)
			continue;
		if (tried ? line >= part->line && line < part->end_line
			  : part->state == PART_NEW &&
				    manifest_piece_holds(part->piece, line, column))
			return part;
	}
	return NULL;
}

/* Was in force just so: what is wrong with it now came with another resource. */
static bool is_in_force(const struct part *part)
{
	const struct manifest_piece *piece = piece_in_force(part);

	return piece && part->last_good && is_same_text(piece->text, part->last_good->text);
}

static void note_reason(struct part *part, const struct diagnostic *item, bool tried)
{
	struct buffer text = {0};
	unsigned line = item->line;

	if (part->reason && !(part->has_lost_route && item->severity == DIAGNOSTIC_ERROR))
		return;
	if (tried && part->state == PART_NEW)
		line = line - part->line - 1 + part->piece->line;
	buffer_printf(&text, "%s:%u:%u: %s", item->file, line, item->column,
		      item->text ? item->text : "out of memory");
	if (!buffer_text(&text))
		return;
	free(part->reason);
	part->reason = text.data;
	part->has_lost_route = item->severity == DIAGNOSTIC_ROUTE_ERROR;
}

/* The same resource stands twice, and the other one is as it was. */
static bool is_second(const struct salvage *salvage, const struct part *part)
{
	for (size_t i = 0; part->last_good && i < salvage->part_count; i++) {
		const struct part *other = &salvage->parts[i];

		if (other != part && other->last_good == part->last_good && is_in_force(other))
			return true;
	}
	return false;
}

static void step_down(const struct salvage *salvage, struct part *part)
{
	bool can_go_back = part->state == PART_NEW && part->last_good && !is_in_force(part);
	bool has_stub = part->state != PART_STUB && manifest_has_stub(part->piece);

	if (is_second(salvage, part))
		part->state = PART_OUT;
	else
		part->state = can_go_back ? PART_LAST_GOOD : has_stub ? PART_STUB : PART_OUT;
}

/* Whose fault an error is. NULL: no resource's. */
static struct part *blame(const struct salvage *salvage, const struct diagnostic *item, bool tried)
{
	struct part *part = find_part(salvage, item->file, item->line, item->column, tried);
	struct part *other =
		find_part(salvage, item->other_file, item->other_line, item->other_column, tried);

	return part && other && is_in_force(part) && !is_in_force(other) ? other : part;
}

/*
 * Takes what is wrong out of what is tried next. False: nothing could be, or an error is no
 * resource's. Several errors of one resource are one step.
 */
static bool settle(struct salvage *salvage, const struct diagnostics *diagnostics, bool tried)
{
	struct part **guilty = calloc(diagnostics->count + 1, sizeof(struct part *));
	bool *steps = calloc(salvage->part_count + 1, sizeof(*steps));
	bool settled = guilty && steps, any = false;

	for (size_t i = 0; i < diagnostics->count && settled; i++) {
		const struct diagnostic *item = &diagnostics->items[i];

		if (item->severity != DIAGNOSTIC_ERROR)
			continue;
		guilty[i] = blame(salvage, item, tried);
		/* What could not be read is settled already. */
		if (!guilty[i])
			settled = !tried && item->file;
		else
			note_reason(guilty[i], item, tried);
	}
	for (size_t i = 0; i < diagnostics->count && settled; i++) {
		if (guilty[i])
			steps[guilty[i] - salvage->parts] = true;
	}
	for (size_t i = 0; i < salvage->part_count && settled; i++) {
		if (steps[i]) {
			step_down(salvage, &salvage->parts[i]);
			any = true;
		}
	}
	free(guilty);
	free(steps);
	return settled && (any || !tried);
}

static void note_lost_routes(struct salvage *salvage, const struct diagnostics *diagnostics,
			     bool tried)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];

		if (item->severity != DIAGNOSTIC_ROUTE_ERROR)
			continue;
		struct part *part = find_part(salvage, item->file, item->line, item->column, tried);
		if (part)
			note_reason(part, item, tried);
	}
}

static struct configuration *try_until_good(struct salvage *salvage, uint32_t generation)
{
	struct configuration *configuration = NULL;
	bool go_on = true;

	for (int round = 0; round < MAX_ROUNDS && go_on && !configuration; round++) {
		struct diagnostics diagnostics = {0};

		if (compose(salvage))
			return NULL;
		configuration = configuration_load_tolerant(salvage->tried, salvage->file_count,
							    salvage->source->tag_only, generation,
							    &diagnostics);
		if (configuration)
			note_lost_routes(salvage, &diagnostics, true);
		else
			go_on = settle(salvage, &diagnostics, true);
		diagnostics_free(&diagnostics);
	}
	return configuration;
}

/* Documents are compared as they are printed: a stub is no piece of a file yet. */
static bool is_printed_as(const struct part *part, const struct manifest_piece *in_force)
{
	struct part copy = *part;
	struct buffer one = {0}, other = {0};

	print_part(&copy, &one);
	manifest_piece_print(in_force, &other);
	bool equal = !one.failed && !other.failed &&
		     is_same_text(buffer_span(&one), buffer_span(&other));
	buffer_free(&one);
	buffer_free(&other);
	return equal;
}

static bool is_unchanged(const struct salvage *salvage)
{
	size_t count = 0;

	for (size_t i = 0; i < salvage->part_count; i++) {
		const struct part *part = &salvage->parts[i];

		if (part->state == PART_OUT)
			continue;
		if (count == salvage->in_force.count ||
		    !is_printed_as(part, &salvage->in_force.items[count]))
			return false;
		count++;
	}
	return count == salvage->in_force.count;
}

static struct rejections *make_rejections(const struct salvage *salvage)
{
	struct rejections *rejections = rejections_new();

	for (size_t i = 0; rejections && i < salvage->part_count; i++) {
		const struct part *part = &salvage->parts[i];
		const struct rejection rejection = {
			.kind = part->piece->kind,
			.namespace = part->piece->namespace,
			.name = part->piece->name,
			.reason = part->reason,
			.outcome = part->state == PART_NEW	   ? REJECTION_ROUTE
				   : part->state == PART_LAST_GOOD ? REJECTION_LAST_GOOD
								   : REJECTION_LEFT_OUT,
		};

		if (part->reason && rejections_add(rejections, &rejection))
			break;
	}
	if (rejections)
		rejections->unreadable = salvage->unreadable;
	return rejections;
}

static void salvage_free(struct salvage *salvage)
{
	free_tried(salvage);
	for (size_t i = 0; i < salvage->part_count; i++)
		free(salvage->parts[i].reason);
	free(salvage->parts);
	free(salvage->sorted);
	manifest_pieces_free(&salvage->pieces);
	manifest_pieces_free(&salvage->in_force);
	manifest_files_free(salvage->files, salvage->file_count);
}

static void salvage_run(struct salvage *salvage, uint32_t generation,
			struct diagnostics *diagnostics, struct salvage_result *result)
{
	bool failed = false;

	if (note_unreadable_paths(salvage, diagnostics, &failed) && salvage->source->is_first)
		return;
	if (failed || read_in_force(salvage) || read_parts(salvage))
		return;
	if (!result->configuration) {
		if (!settle(salvage, diagnostics, false))
			return;
		result->configuration = try_until_good(salvage, generation);
	} else {
		note_lost_routes(salvage, diagnostics, false);
	}
	if (!result->configuration)
		return;
	result->rejections = make_rejections(salvage);
	result->is_unchanged = is_unchanged(salvage);
	result->has_lost_source = salvage->has_lost_source;
}

void salvage_load(const struct salvage_source *source, uint32_t generation,
		  struct diagnostics *diagnostics, struct salvage_result *ret_result)
{
	struct salvage salvage = {.source = source};
	const struct manifest_input input = {
		.paths = source->paths,
		.path_count = source->path_count,
		.objects = source->objects,
		.object_count = source->object_count,
		.shares = true,
		.previous = source->previous,
	};

	*ret_result = (struct salvage_result){0};
	ret_result->configuration =
		configuration_read_tolerant(&input, source->tag_only, generation, diagnostics,
					    &salvage.files, &salvage.file_count);
	if (!ret_result->configuration || diagnostics->route_error_count)
		salvage_run(&salvage, generation, diagnostics, ret_result);
	salvage_free(&salvage);
}
