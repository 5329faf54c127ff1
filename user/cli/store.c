/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"

#define OWN_DIRECTORY ".lanetag"
#define REMOVED_SUFFIX ".removed" /* of an empty file in pending/: this manifest goes */

static int say(const char *command, const char *what, int error)
{
	fprintf(stderr, "lanetag %s: %s: %s\n", command, what, strerror(-error));
	return -1;
}

static int write_file(int directory, const char *name, struct span text, mode_t mode)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			mode);
	int error = 0;

	if (fd < 0)
		return -errno;
	while (text.length && !error) {
		ssize_t length = write(fd, text.data, text.length);

		if (length < 0) {
			error = errno == EINTR ? 0 : -errno;
			continue;
		}
		text.data += length;
		text.length -= (size_t)length;
	}
	if (!error && (fchmod(fd, mode) || fsync(fd)))
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	return error;
}

static int open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int make_directory(int at, const char *name)
{
	if (mkdirat(at, name, 0700) && errno != EEXIST)
		return -errno;
	return open_directory(at, name);
}

/* A directory of files, with it. */
static int remove_directory(int at, const char *name)
{
	int fd = open_directory(at, name);

	if (fd == -ENOENT)
		return 0;
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	for (struct dirent *entry; (entry = readdir(stream));)
		unlinkat(dirfd(stream), entry->d_name, 0);
	closedir(stream);
	return unlinkat(at, name, AT_REMOVEDIR) ? -errno : 0;
}

/*
 * Puts one decided file in its place. Linked under a second name first: `pending` stays whole until
 * all is done, so that this may be begun anew at any point.
 */
static int settle_file(const struct store *store, int pending, const char *name)
{
	struct span text = span_of(name), suffix = span_of(REMOVED_SUFFIX);

	if (span_ends_with_ignore_case(text, suffix)) {
		char *manifest = span_copy((struct span){name, text.length - suffix.length});
		int error = !manifest							 ? -ENOMEM
			    : unlinkat(store->directory, manifest, 0) && errno != ENOENT ? -errno
											 : 0;

		free(manifest);
		return error;
	}
	if (unlinkat(store->own, "settling", 0) && errno != ENOENT)
		return -errno;
	if (linkat(pending, name, store->own, "settling", 0) ||
	    renameat(store->own, "settling", store->directory, name))
		return -errno;
	return 0;
}

/* Of a change that is decided; nothing to do where there is none. */
static int settle(const struct store *store)
{
	int pending = open_directory(store->own, "pending");
	int error = 0;

	if (pending == -ENOENT)
		return 0;
	DIR *stream = pending < 0 ? NULL : fdopendir(pending);
	if (!stream) {
		if (pending >= 0)
			close(pending);
		return pending < 0 ? pending : -ENOMEM;
	}
	for (struct dirent *entry; !error && (entry = readdir(stream));) {
		if (entry->d_name[0] != '.')
			error = settle_file(store, dirfd(stream), entry->d_name);
	}
	closedir(stream);
	if (!error && fsync(store->directory))
		error = -errno;
	return error ? error : remove_directory(store->own, "pending");
}

static int take_lock(struct store *store, const char *command)
{
	char holder[200] = "";

	store->lock = openat(store->own, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->lock < 0)
		return say(command, "lock", -errno);
	if (flock(store->lock, LOCK_EX | LOCK_NB)) {
		ssize_t length = pread(store->lock, holder, sizeof(holder) - 1, 0);

		holder[length > 0 ? length : 0] = '\0';
		fprintf(stderr, "lanetag %s: nothing changed: another command works here: %s\n",
			command, holder[0] ? holder : strerror(errno));
		return 1;
	}
	int length = snprintf(holder, sizeof(holder), "%s, process %d of user %u", command,
			      (int)getpid(), (unsigned)getuid());
	if (ftruncate(store->lock, 0) || pwrite(store->lock, holder, (size_t)length, 0) < 0)
		return say(command, "lock", -errno);
	return 0;
}

int store_open(const char *command, const char *directory, bool make, struct store *ret_store)
{
	struct store *store = ret_store;

	*store = (struct store){-1, -1, -1};
	store->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->directory < 0)
		return say(command, directory, -errno);
	store->own = make ? make_directory(store->directory, OWN_DIRECTORY)
			  : open_directory(store->directory, OWN_DIRECTORY);
	if (store->own == -ENOENT && !make)
		return 0;
	if (store->own < 0)
		return say(command, directory, store->own);
	int locked = take_lock(store, command);
	if (locked)
		return locked;
	if (faccessat(store->own, "pending", F_OK, 0))
		return 0;
	if (!make) {
		fprintf(stderr,
			"lanetag %s: an earlier command was interrupted while it changed files; "
			"the "
			"next with --yes finishes that first\n",
			command);
		return 0;
	}
	int error = settle(store);
	if (error)
		return say(command, "finishing an interrupted change", error);
	fprintf(stderr, "lanetag %s: finished a change that was interrupted\n", command);
	return 0;
}

void store_close(struct store *store)
{
	if (store->lock >= 0)
		close(store->lock);
	if (store->own >= 0)
		close(store->own);
	if (store->directory >= 0)
		close(store->directory);
	*store = (struct store){-1, -1, -1};
}

static int compare_entries(const void *left, const void *right)
{
	const struct history_entry *a = left, *b = right;

	return a->number > b->number ? -1 : a->number < b->number;
}

static int add_entry(int history, const char *name, struct history_entry **entries, size_t *count)
{
	struct buffer why = {0};
	struct stat status;
	unsigned number;
	char behind;

	if (sscanf(name, "%8u%c", &number, &behind) != 1 ||
	    fstatat(history, name, &status, AT_SYMLINK_NOFOLLOW))
		return 0;
	struct history_entry *entry = ARRAY_APPEND(*entries, *count);
	if (!entry)
		return -ENOMEM;
	*entry = (struct history_entry){.number = number, .time = (long)status.st_mtime};
	int directory = open_directory(history, name);
	if (directory >= 0) {
		read_whole_file(directory, "why", &why);
		close(directory);
	}
	entry->why = span_copy(span_trim(buffer_span(&why)));
	buffer_free(&why);
	return entry->why ? 0 : -ENOMEM;
}

int store_history(struct store *store, const char *command, struct history_entry **ret_entries,
		  size_t *ret_count)
{
	int fd = store->own < 0 ? -ENOENT : open_directory(store->own, "history");
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	int error = 0;

	*ret_entries = NULL;
	*ret_count = 0;
	if (fd == -ENOENT)
		return 0;
	if (!stream) {
		if (fd >= 0)
			close(fd);
		return say(command, "history", fd < 0 ? fd : -ENOMEM);
	}
	for (struct dirent *entry; !error && (entry = readdir(stream));)
		error = add_entry(dirfd(stream), entry->d_name, ret_entries, ret_count);
	closedir(stream);
	if (*ret_count)
		qsort(*ret_entries, *ret_count, sizeof(**ret_entries), compare_entries);
	return error ? say(command, "history", error) : 0;
}

void history_free(struct history_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(entries[i].why);
	free(entries);
}

int store_recall(struct store *store, const char *command, const struct history_entry *entry,
		 struct changes *changes)
{
	char path[64];
	int error = 0;

	snprintf(path, sizeof(path), "history/%08u", entry->number);
	int fd = open_directory(store->own, path);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		if (fd >= 0)
			close(fd);
		return say(command, path, fd < 0 ? fd : -ENOMEM);
	}
	for (size_t i = 0; i < changes->file_count; i++)
		changes->files[i].is = false;
	for (struct dirent *item; !error && (item = readdir(stream));) {
		if (!is_manifest_file_name(item->d_name))
			continue;
		struct changed_file *file = changes_file(changes, item->d_name);

		if (file)
			file->is = file->is_recalled = true;
		error = file ? read_whole_file(dirfd(stream), item->d_name, &file->new) : -ENOMEM;
	}
	closedir(stream);
	return error ? say(command, path, error) : 0;
}

static int write_old_files(int directory, const struct changes *changes, const char *why)
{
	int error = write_file(directory, "why", span_of(why), 0600);

	for (size_t i = 0; i < changes->file_count && !error; i++) {
		const struct changed_file *file = &changes->files[i];

		if (file->was)
			error = write_file(directory, file->name, buffer_span(&file->old), 0600);
	}
	if (!error && fsync(directory))
		error = -errno;
	return error;
}

/* Made under another name, then renamed: what stands in the history is whole. */
static int remember(struct store *store, int history, const struct changes *changes,
		    const char *why)
{
	struct history_entry *entries;
	size_t count;
	char name[32];

	if (store_history(store, "history", &entries, &count))
		return -EIO;
	snprintf(name, sizeof(name), "%08u", count ? entries[0].number + 1 : 1);
	int error = remove_directory(history, "new");
	int directory = error ? error : make_directory(history, "new");
	error = directory < 0 ? directory : write_old_files(directory, changes, why);
	if (directory >= 0)
		close(directory);
	if (!error && (renameat(history, "new", history, name) || fsync(history)))
		error = -errno;
	for (size_t i = STORE_HISTORY - 1; i < count && !error; i++) {
		snprintf(name, sizeof(name), "%08u", entries[i].number);
		error = remove_directory(history, name);
	}
	history_free(entries, count);
	return error;
}

/* What a file is to be: after the changes, or before them. */
enum side { SIDE_NEW, SIDE_OLD };

static int write_side(const struct store *store, int pending, const struct changed_file *file,
		      enum side side)
{
	bool stays = side == SIDE_NEW ? file->is : file->was;
	struct stat status = {.st_mode = 0644};
	struct buffer name = {0};

	if (file->was && fstatat(store->directory, file->name, &status, AT_SYMLINK_NOFOLLOW) &&
	    (side == SIDE_NEW || errno != ENOENT))
		return -errno;
	if (S_ISLNK(status.st_mode))
		return -EMLINK; /* a mounted ConfigMap: its source is to be changed */
	buffer_printf(&name, "%s%s", file->name, stays ? "" : REMOVED_SUFFIX);
	const char *text = buffer_text(&name);
	struct span content = buffer_span(side == SIDE_NEW ? &file->new : &file->old);
	int error = text ? write_file(pending, text, content, status.st_mode & 0777) : -ENOMEM;
	buffer_free(&name);
	return error;
}

static int decide(struct store *store, const struct changes *changes, enum side side)
{
	int error = remove_directory(store->own, "pending.new");
	int pending = error ? error : make_directory(store->own, "pending.new");

	if (pending < 0)
		return pending;
	for (size_t i = 0; i < changes->file_count && !error; i++) {
		if (changed_file_differs(&changes->files[i]))
			error = write_side(store, pending, &changes->files[i], side);
	}
	if (!error && fsync(pending))
		error = -errno;
	close(pending);
	/* From here on the change is decided. */
	if (!error &&
	    (renameat(store->own, "pending.new", store->own, "pending") || fsync(store->own)))
		error = -errno;
	return error;
}

int store_apply(struct store *store, const char *command, const struct changes *changes,
		const char *why)
{
	int history = make_directory(store->own, "history");
	int error = history < 0 ? history : remember(store, history, changes, why);

	if (history >= 0)
		close(history);
	if (error)
		return say(command, "nothing changed: history", error);
	error = decide(store, changes, SIDE_NEW);
	if (error == -EMLINK) {
		fprintf(stderr,
			"lanetag %s: nothing changed: a manifest is a link (a mounted "
			"ConfigMap?): change its source\n",
			command);
		return -1;
	}
	if (error)
		return say(command, "nothing changed", error);
	error = settle(store);
	return error ? say(command, "the next command goes on with it", error) : 0;
}

/* The newest entry is of the change that is taken back. */
static int forget_newest(struct store *store)
{
	struct history_entry *entries;
	size_t count;
	char path[32];

	if (store_history(store, "history", &entries, &count))
		return -EIO;
	snprintf(path, sizeof(path), "history/%08u", count ? entries[0].number : 0);
	history_free(entries, count);
	return count ? remove_directory(store->own, path) : 0;
}

int store_undo(struct store *store, const char *command, const struct changes *changes)
{
	int error = decide(store, changes, SIDE_OLD);

	if (!error)
		error = settle(store);
	if (!error)
		error = forget_newest(store);
	return error ? say(command, "taking the change back", error) : 0;
}
