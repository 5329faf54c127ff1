/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/store.h"

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
#include "release/owned_files.h"
#include "manifest/directory.h"

#define OWN_DIRECTORY MANIFEST_OWN_DIRECTORY

/*
 * The agent looks into .lanetag for a change that is decided, maybe as another user: it may pass
 * through. Its history and lock are for those alone who made them.
 */
#define OWN_MODE 0711
#define WHY_MODE 0644 /* within a directory that is closed to others */

static int say(struct buffer *says, const char *what, int error)
{
	buffer_printf(says, "%s: %s\n", what, owned_error(error));
	return -1;
}

/* What others wrote must not steer a terminal. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

/* A directory of files, with it. */
static int remove_directory(const struct store *store, int at, const char *name)
{
	int fd = owned_open_directory(at, name, store->owner);

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
	struct span text = span_of(name), suffix = span_of(MANIFEST_REMOVED_SUFFIX);

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
	/* Where it was in its place already, rename leaves both names. */
	return unlinkat(store->own, "settling", 0) && errno != ENOENT ? -errno : 0;
}

/* Of a change that is decided; nothing to do where there is none. */
static int settle(const struct store *store)
{
	int pending = owned_open_directory(store->own, MANIFEST_PENDING, store->owner);
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
	return error ? error : remove_directory(store, store->own, MANIFEST_PENDING);
}

static int take_lock(struct store *store, const char *command, struct buffer *says)
{
	char holder[200] = "";

	store->lock = owned_open_file(store->own, "lock", O_RDWR | O_CREAT, store->owner);
	if (store->lock < 0)
		return say(says, OWN_DIRECTORY "/lock", store->lock);
	if (flock(store->lock, LOCK_EX | LOCK_NB)) {
		ssize_t length = pread(store->lock, holder, sizeof(holder) - 1, 0);

		holder[length > 0 ? length : 0] = '\0';
		make_printable(holder);
		buffer_printf(says, "nothing changed: another command works here: %s\n",
			      holder[0] ? holder : strerror(errno));
		return 1;
	}
	int length = snprintf(holder, sizeof(holder), "%s, process %d of user %u", command,
			      (int)getpid(), (unsigned)getuid());
	if (ftruncate(store->lock, 0) || pwrite(store->lock, holder, (size_t)length, 0) < 0)
		return say(says, "lock", -errno);
	return 0;
}

static int open_own(struct store *store, bool make)
{
	struct stat status;

	if (fstat(store->directory, &status))
		return -errno;
	store->owner = status.st_uid;
	if (!make)
		return owned_open_directory(store->directory, OWN_DIRECTORY, store->owner);
	int own = owned_make_directory(store->directory, OWN_DIRECTORY, OWN_MODE, store->owner);
	if (own >= 0 && fstat(own, &status) == 0 && (status.st_mode & 0777) != OWN_MODE)
		fchmod(own, OWN_MODE); /* another user's stays as it is */
	return own;
}

int store_open(const char *directory, const char *command, bool make, struct store *ret_store,
	       struct buffer *says)
{
	struct store *store = ret_store;

	*store = (struct store){.directory = -1, .own = -1, .lock = -1};
	store->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->directory < 0)
		return say(says, directory, -errno);
	store->own = open_own(store, make);
	if (store->own == -ENOENT && !make)
		return 0;
	if (store->own == OWNED_FOREIGN || store->own == -ELOOP)
		return say(says, OWN_DIRECTORY, store->own);
	if (store->own < 0)
		return say(says, directory, store->own);
	int locked = take_lock(store, command, says);
	if (locked)
		return locked;
	if (faccessat(store->own, MANIFEST_PENDING, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0;
	if (!make) {
		buffer_append_text(says, "an earlier command was interrupted while it changed "
					 "files: its change is in force, and the next with --yes "
					 "puts all files in their places first\n");
		return 0;
	}
	int error = settle(store);
	if (error)
		return say(says, "finishing an interrupted change", error);
	buffer_append_text(says, "finished a change that was interrupted\n");
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
	*store = (struct store){.directory = -1, .own = -1, .lock = -1};
}

static int compare_entries(const void *left, const void *right)
{
	const struct history_entry *a = left, *b = right;

	return a->number > b->number ? -1 : a->number < b->number;
}

static int add_entry(const struct store *store, int history, const char *name,
		     struct history_entry **entries, size_t *count)
{
	struct buffer why = {0};
	struct stat status;
	unsigned number;
	char behind;

	if (sscanf(name, "%8u%c", &number, &behind) != 1 ||
	    fstatat(history, name, &status, AT_SYMLINK_NOFOLLOW))
		return 0;
	int directory = owned_open_directory(history, name, store->owner);
	if (directory < 0)
		return directory;
	int fd = owned_open_file(directory, "why", O_RDONLY, store->owner);
	int error = owned_read(fd, &why, NULL);
	close(directory);
	struct history_entry *entry = NULL;
	if (!error || error == -ENOENT)
		entry = ARRAY_APPEND(*entries, *count);
	if (entry) {
		*entry = (struct history_entry){.number = number, .time = (long)status.st_mtime};
		entry->why = span_copy(span_trim(buffer_span(&why)));
		error = entry->why ? 0 : -ENOMEM;
	} else if (!error || error == -ENOENT) {
		error = -ENOMEM;
	}
	if (entry && entry->why)
		make_printable(entry->why);
	buffer_free(&why);
	return error;
}

int store_history(struct store *store, struct history_entry **ret_entries, size_t *ret_count,
		  struct buffer *says)
{
	int fd = store->own < 0 ? -ENOENT
				: owned_open_directory(store->own, "history", store->owner);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	int error = 0;

	*ret_entries = NULL;
	*ret_count = 0;
	if (fd == -ENOENT)
		return 0;
	if (!stream) {
		if (fd >= 0)
			close(fd);
		return say(says, "history", fd < 0 ? fd : -ENOMEM);
	}
	for (struct dirent *entry; !error && (entry = readdir(stream));)
		error = add_entry(store, dirfd(stream), entry->d_name, ret_entries, ret_count);
	closedir(stream);
	if (*ret_count)
		qsort(*ret_entries, *ret_count, sizeof(**ret_entries), compare_entries);
	return error ? say(says, "history", error) : 0;
}

void history_free(struct history_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(entries[i].why);
	free(entries);
}

/* Histories of earlier versions keep no modes: "why" tells, which only these make so. */
static bool keeps_modes(int entry)
{
	struct stat status;

	return fstatat(entry, "why", &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (status.st_mode & 0777) == WHY_MODE;
}

static int recall_file(const struct store *store, int entry, const char *name,
		       struct changes *changes)
{
	struct changed_file *file = changes_file(changes, name);
	struct stat status;

	if (!file)
		return -ENOMEM;
	int error = owned_read(owned_open_file(entry, name, O_RDONLY, store->owner), &file->new,
			       &status);
	if (error)
		return error;
	file->is = file->is_recalled = true;
	if (file->was)
		return 0;
	file->like = (struct stat){.st_uid = geteuid(), .st_gid = getegid(), .st_mode = 0644};
	if (keeps_modes(entry))
		file->like.st_mode = status.st_mode;
	return 0;
}

static int recall_files(const struct store *store, int entry, struct changes *changes)
{
	DIR *stream = fdopendir(entry);
	int error = 0;

	if (!stream) {
		close(entry);
		return -ENOMEM;
	}
	for (struct dirent *item; !error && (item = readdir(stream));) {
		if (is_manifest_name(item->d_name))
			error = recall_file(store, dirfd(stream), item->d_name, changes);
	}
	closedir(stream);
	return error;
}

int store_recall(struct store *store, const struct history_entry *entry, struct changes *changes,
		 struct buffer *says)
{
	char name[32];
	int history = owned_open_directory(store->own, "history", store->owner);

	snprintf(name, sizeof(name), "%08u", entry->number);
	int fd = history < 0 ? history : owned_open_directory(history, name, store->owner);
	if (history >= 0)
		close(history);
	/* What is a link was never kept. */
	for (size_t i = 0; i < changes->file_count; i++)
		changes->files[i].is = changes->files[i].is_link;
	int error = fd < 0 ? fd : recall_files(store, fd, changes);
	return error ? say(says, "the history", error) : 0;
}

static int write_old_files(int directory, const struct changes *changes, const char *why)
{
	struct stat like = {.st_uid = geteuid(), .st_gid = getegid(), .st_mode = WHY_MODE};
	int error = owned_write_new(directory, "why", span_of(why), &like);

	for (size_t i = 0; i < changes->file_count && !error; i++) {
		const struct changed_file *file = &changes->files[i];

		like.st_mode = file->like.st_mode;
		/* The text behind a link is another's: given back later it would be published. */
		if (file->was && !file->is_link)
			error = owned_write_new(directory, file->name, buffer_span(&file->old),
						&like);
	}
	if (!error && fsync(directory))
		error = -errno;
	return error;
}

/* Made under another name, then renamed: what stands in the history is whole. */
static int remember(struct store *store, int history, const struct changes *changes,
		    const char *why, struct buffer *says)
{
	struct history_entry *entries;
	size_t count;
	char name[32];

	if (store_history(store, &entries, &count, says))
		return -EIO;
	snprintf(name, sizeof(name), "%08u", count ? entries[0].number + 1 : 1);
	int error = remove_directory(store, history, "new");
	int directory = error ? error : owned_make_new_directory(history, "new");
	error = directory < 0 ? directory : write_old_files(directory, changes, why);
	if (directory >= 0)
		close(directory);
	if (!error && (renameat(history, "new", history, name) || fsync(history)))
		error = -errno;
	for (size_t i = STORE_HISTORY - 1; i < count && !error; i++) {
		snprintf(name, sizeof(name), "%08u", entries[i].number);
		error = remove_directory(store, history, name);
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
	struct stat status;
	struct buffer name = {0};

	if (file->was && fstatat(store->directory, file->name, &status, AT_SYMLINK_NOFOLLOW) &&
	    (side == SIDE_NEW || errno != ENOENT))
		return -errno;
	if (file->is_link)
		return -EMLINK; /* a mounted ConfigMap: its source is to be changed */
	buffer_printf(&name, "%s%s", file->name, stays ? "" : MANIFEST_REMOVED_SUFFIX);
	const char *text = buffer_text(&name);
	struct span content = buffer_span(side == SIDE_NEW ? &file->new : &file->old);
	int error = text ? owned_write_new(pending, text, content, &file->like) : -ENOMEM;
	buffer_free(&name);
	return error;
}

static int decide(struct store *store, const struct changes *changes, enum side side)
{
	int error = remove_directory(store, store->own, "pending.new");
	int pending = error ? error : owned_make_new_directory(store->own, "pending.new");

	if (pending < 0)
		return pending;
	for (size_t i = 0; i < changes->file_count && !error; i++) {
		if (changed_file_differs(&changes->files[i]))
			error = write_side(store, pending, &changes->files[i], side);
	}
	/* Others may read it: the agent. Its files have the modes of the manifests. */
	if (!error && (fchmod(pending, 0755) || fsync(pending)))
		error = -errno;
	close(pending);
	/* From here on the change is decided. */
	if (!error && (renameat(store->own, "pending.new", store->own, MANIFEST_PENDING) ||
		       fsync(store->own)))
		error = -errno;
	return error;
}

int store_apply(struct store *store, const struct changes *changes, const char *why,
		struct buffer *says)
{
	int history = owned_make_directory(store->own, "history", 0700, store->owner);
	int error = history < 0 ? history : remember(store, history, changes, why, says);

	if (history >= 0)
		close(history);
	if (error)
		return say(says, "nothing changed: history", error);
	error = decide(store, changes, SIDE_NEW);
	if (error == -EMLINK) {
		buffer_append_text(says, "nothing changed: a manifest is a link (a mounted "
					 "ConfigMap?): change its source\n");
		return -1;
	}
	if (error)
		return say(says, "nothing changed", error);
	error = settle(store);
	return error ? say(says, "the next command goes on with it", error) : 0;
}

/* The newest entry is of the change that is taken back. */
static int forget_newest(struct store *store, struct buffer *says)
{
	struct history_entry *entries;
	size_t count;
	char name[32];

	if (store_history(store, &entries, &count, says))
		return -EIO;
	snprintf(name, sizeof(name), "%08u", count ? entries[0].number : 0);
	history_free(entries, count);
	int history = owned_open_directory(store->own, "history", store->owner);
	int error = history < 0 ? history : remove_directory(store, history, name);
	if (history >= 0)
		close(history);
	return error;
}

int store_undo(struct store *store, const struct changes *changes, struct buffer *says)
{
	int error = decide(store, changes, SIDE_OLD);

	if (!error)
		error = settle(store);
	if (!error)
		error = forget_newest(store, says);
	return error ? say(says, "taking the change back", error) : 0;
}
