/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/owned_files.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE_BYTES ((size_t)64 * 1024 * 1024) /* what the manifests' reader takes */

const char *owned_error(int error)
{
	if (error == OWNED_FOREIGN)
		return "it belongs to another user, or a link leads to what does";
	if (error == -ELOOP)
		return "it is a link, which is not followed";
	return strerror(-error);
}

static bool is_trusted(const struct stat *status, uid_t owner)
{
	return status->st_uid == geteuid() || status->st_uid == owner;
}

static int check(int fd, bool trusted)
{
	if (trusted)
		return fd;
	close(fd);
	return OWNED_FOREIGN;
}

int owned_open_directory(int at, const char *name, uid_t owner)
{
	struct stat status;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOTDIR && fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(status.st_mode))
		return -ELOOP;
	if (fd < 0)
		return -errno;
	return check(fd, fstat(fd, &status) == 0 && is_trusted(&status, owner));
}

int owned_make_directory(int at, const char *name, mode_t mode, uid_t owner)
{
	if (mkdirat(at, name, mode) && errno != EEXIST)
		return -errno;
	return owned_open_directory(at, name, owner);
}

int owned_make_new_directory(int at, const char *name)
{
	if (mkdirat(at, name, 0700))
		return -errno;
	return owned_open_directory(at, name, geteuid());
}

int owned_open_file(int at, const char *name, int flags, uid_t owner)
{
	struct stat status;
	int fd = openat(at, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);

	if (fd < 0)
		return -errno;
	return check(fd, fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
				 status.st_nlink == 1 && is_trusted(&status, owner));
}

static int write_all(int fd, struct span text)
{
	while (text.length) {
		ssize_t length = write(fd, text.data, text.length);

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return -errno;
		text.data += length;
		text.length -= (size_t)length;
	}
	return 0;
}

int owned_write_new(int at, const char *name, struct span text, const struct stat *like)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	int error = write_all(fd, text);
	/* Only root gives files away; others' new files are their own. */
	if (!error && like && fchown(fd, like->st_uid, like->st_gid) && errno != EPERM)
		error = -errno;
	if (!error && (fchmod(fd, like ? like->st_mode & 0777 : 0600) || fsync(fd)))
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	return error;
}

static int read_all(int fd, struct buffer *out)
{
	for (;;) {
		char *room = buffer_reserve(out, 65536);
		ssize_t length = room ? read(fd, room, 65536) : -1;

		if (!room)
			return -ENOMEM;
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return length ? -errno : 0;
		out->length += (size_t)length;
		if (out->length > MAX_FILE_BYTES)
			return -EFBIG;
	}
}

/*
 * As the kernel's fs.protected_symlinks: another user's link leads only to what is his. In another
 * user's directory what was opened must still be there under its name, not behind a link that is
 * gone again.
 */
static bool is_lured(const struct stat *status, int directory, const char *name)
{
	struct stat named, above;

	if (fstat(directory, &above) || fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW))
		return true;
	if (S_ISLNK(named.st_mode))
		return named.st_uid != geteuid() && named.st_uid != status->st_uid;
	if (above.st_uid == geteuid())
		return false;
	return named.st_ino != status->st_ino || named.st_dev != status->st_dev ||
	       (status->st_nlink > 1 && status->st_uid != above.st_uid);
}

int owned_read_manifest(int fd, int directory, const char *name, struct buffer *out,
			struct stat *ret_status)
{
	if (fstat(fd, ret_status))
		return -errno;
	if (!S_ISREG(ret_status->st_mode))
		return -EINVAL;
	return is_lured(ret_status, directory, name) ? OWNED_FOREIGN : read_all(fd, out);
}

int owned_read(int fd, struct buffer *out, struct stat *ret_status)
{
	struct stat status;

	if (fd < 0)
		return fd;
	int error = fstat(fd, ret_status ? ret_status : &status) ? -errno : read_all(fd, out);
	close(fd);
	return error;
}
