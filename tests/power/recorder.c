/* Records what a process changes below a folder, in the order in which it happens.
 *
 * Loaded with LD_PRELOAD. Active while the environment names a record (POWER_RECORD, a file to
 * append to) and a folder (POWER_BELOW, a path without symbolic links); it is asked for anew until
 * it is there, so that a forked process can set it. recorder.py reads the record: each entry is a
 * `struct head`, then both names, relative to the folder, then the bytes that were written.
 *
 * Each call is made, and recorded if it succeeded, under a lock on the record, which all recorded
 * processes share: a process that is killed by the holder of that lock has recorded what it did.
 * What cannot be recorded is recorded as such ('?'), and recorder.py refuses the record.
 *
 * Left out: files whose name ends in -shm (SQLite's index of a WAL, which is made anew after a
 * death), modes, owners and times of files.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, MAPPINGS = 64 };

struct head {
    uint32_t kind, pid, name_bytes, other_bytes;
    uint64_t inode, offset, data_bytes, at_ns;
};

struct mapping {
    char *start, *seen;
    size_t size;
    uint64_t inode, offset;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner;
static int record = -1;
static char root[PATH_MAX];
static size_t root_length;
static struct mapping mappings[MAPPINGS];

#define REAL(result, name, ...)                                             \
    static result (*real_##name)(__VA_ARGS__);                              \
    if (!real_##name) real_##name = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* ---- the record */

static void give_up(const char *what) {
    dprintf(2, "recorder: %s: %s\n", what, strerror(errno));
    _exit(78);
}

static ssize_t write_all(const void *bytes, size_t count) {
    REAL(ssize_t, write, int, const void *, size_t);
    for (size_t done = 0; done < count;) {
        ssize_t n = real_write(record, (const char *)bytes + done, count - done);
        if (n < 0) give_up("the record cannot be written");
        done += n;
    }
    return count;
}

/* Whether this process is recorded. A forked process opens the record itself: locks of flock()
   belong to what open() gave. */
static int is_active(void) {
    REAL(int, open, const char *, int, ...);
    if (record >= 0 && owner == getpid()) return 1;
    const char *path = getenv("POWER_RECORD"), *below = getenv("POWER_BELOW");
    if (!path || !below) return 0;
    pthread_mutex_init(&mutex, NULL);
    memset(mappings, 0, sizeof mappings);
    strncpy(root, below, sizeof root - 1);
    root_length = strlen(root);
    record = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (record < 0) give_up(path);
    owner = getpid();
    return 1;
}

static void put(int kind, uint64_t inode, uint64_t offset, const char *name, const char *other,
                const void *bytes, size_t count) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct head head = {
        kind, getpid(), strlen(name), strlen(other), inode, offset, bytes ? count : 0,
        now.tv_sec * 1000000000ull + now.tv_nsec,
    };
    size_t total = sizeof head + head.name_bytes + head.other_bytes + head.data_bytes;
    char *entry = malloc(total), *end = entry;
    end = mempcpy(end, &head, sizeof head);
    end = mempcpy(end, name, head.name_bytes);
    end = mempcpy(end, other, head.other_bytes);
    if (bytes) memcpy(end, bytes, count);
    write_all(entry, total);
    free(entry);
}

/* Bytes that were changed in memory that is mapped to a file. */
static void put_mapped(void) {
    for (int i = 0; i < MAPPINGS; i++) {
        struct mapping *m = &mappings[i];
        for (size_t at = 0; m->start && at < m->size; at += PAGE) {
            size_t count = m->size - at < PAGE ? m->size - at : PAGE;
            if (!memcmp(m->start + at, m->seen + at, count)) continue;
            memcpy(m->seen + at, m->start + at, count);
            put('w', m->inode, m->offset + at, "", "", m->seen + at, count);
        }
    }
}

static void lock(void) {
    pthread_mutex_lock(&mutex);
    while (flock(record, LOCK_EX))
        if (errno != EINTR) give_up("the record cannot be locked");
    put_mapped();
}

static void unlock(void) {
    int kept = errno;
    flock(record, LOCK_UN);
    pthread_mutex_unlock(&mutex);
    errno = kept;
}

/* ---- which files */

/* The part of a path that is below the folder ("" is the folder itself); NULL: it is not. */
static const char *below(const char *path) {
    size_t length = strlen(path);
    if (strncmp(path, root, root_length)) return NULL;
    if (length > 4 && !strcmp(path + length - 4, "-shm")) return NULL;
    if (path[root_length] == '/') return path + root_length + 1;
    return path[root_length] ? NULL : path + root_length;
}

static const char *name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return below(path);
}

/* Takes no lock unless the file is recorded: Python writes to a socket in its signal handler. */
static const char *recorded(int fd, char *path, struct stat *found) {
    int kept = errno;
    const char *name = NULL;
    if (is_active() && fd != record && !fstat(fd, found) &&
        (S_ISREG(found->st_mode) || S_ISDIR(found->st_mode)))
        name = name_of(fd, path);
    errno = kept;
    return name;
}

/* An absolute path, links in all but its last part resolved; relative to the folder, or NULL. */
static const char *resolved(int directory, const char *path, char *whole) {
    char joined[2 * PATH_MAX], parent[PATH_MAX];
    int kept = errno;
    if (!is_active()) return NULL;
    if (path[0] == '/') {
        snprintf(joined, sizeof joined, "%s", path);
    } else if (directory == AT_FDCWD) {
        if (!getcwd(parent, sizeof parent)) return NULL;
        snprintf(joined, sizeof joined, "%s/%s", parent, path);
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t length = readlink(link, parent, PATH_MAX - 1);
        if (length < 0) return NULL;
        parent[length] = 0;
        snprintf(joined, sizeof joined, "%s/%s", parent, path);
    }
    size_t length = strlen(joined);
    while (length > 1 && joined[length - 1] == '/') joined[--length] = 0;
    char *slash = strrchr(joined, '/');
    *slash = 0;
    const char *name = NULL;
    if (realpath(joined[0] ? joined : "/", parent) &&
        snprintf(whole, PATH_MAX, "%s/%s", parent, slash + 1) < PATH_MAX)
        name = below(whole);
    errno = kept;
    return name;
}

static uint64_t inode_at(const char *path) {
    struct stat found;
    return lstat(path, &found) ? 0 : found.st_ino;
}

/* ---- open */

static int recorded_open(int (*real)(int, const char *, int, mode_t), int directory,
                         const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    struct stat before, after;
    if (!is_active() || !(flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)))
        return real(directory, path, flags, mode);
    /* What is not below the folder is opened without the lock; a symbolic link that leads there
       is refused by the comparison at the end of a recording. */
    if (!resolved(directory, path, whole)) return real(directory, path, flags, mode);
    lock();
    int existed = !fstatat(directory, path, &before, 0);
    int fd = real(directory, path, flags, mode);
    const char *name = fd < 0 ? NULL : recorded(fd, whole, &after);
    if (name && S_ISREG(after.st_mode)) {
        if ((flags & O_TMPFILE) == O_TMPFILE || flags & (O_SYNC | O_DSYNC))
            put('?', after.st_ino, 0, "open", name, NULL, 0);
        if (!existed) put('c', after.st_ino, 0, name, "", NULL, 0);
        else if (flags & O_TRUNC && before.st_size) put('t', after.st_ino, 0, name, "", NULL, 0);
    }
    unlock();
    return fd;
}

static int by_open(int directory, const char *path, int flags, mode_t mode) {
    REAL(int, open, const char *, int, ...);
    (void)directory;
    return real_open(path, flags, mode);
}

static int by_openat(int directory, const char *path, int flags, mode_t mode) {
    REAL(int, openat, int, const char *, int, ...);
    return real_openat(directory, path, flags, mode);
}

#define MODE(flags, mode)                                      \
    mode_t mode = 0;                                           \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode = va_arg(rest, mode_t);                           \
        va_end(rest);                                          \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode);
    return recorded_open(by_open, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode);
    return recorded_open(by_open, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    MODE(flags, mode);
    return recorded_open(by_openat, directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags, mode);
    return recorded_open(by_openat, directory, path, flags | O_LARGEFILE, mode);
}

int creat(const char *path, mode_t mode) {
    return recorded_open(by_open, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* ---- writes */

/* Bytes that the kernel has copied into a file. */
static void put_copied(int fd, uint64_t inode, off_t offset, size_t count) {
    REAL(int, open, const char *, int, ...);
    char link[64], *bytes = malloc(count);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reading = real_open(link, O_RDONLY | O_CLOEXEC);
    if (reading >= 0 && pread(reading, bytes, count, offset) == (ssize_t)count)
        put('w', inode, offset, "", "", bytes, count);
    else
        put('?', inode, offset, "copied", "", NULL, 0);
    if (reading >= 0) close(reading);
    free(bytes);
}

#define WHOLE char whole[PATH_MAX]; struct stat found; const char *name

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(ssize_t, write, int, const void *, size_t);
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real_write(fd, bytes, count);
    lock();
    ssize_t done = real_write(fd, bytes, count);
    if (done > 0) put('w', found.st_ino, lseek(fd, 0, SEEK_CUR) - done, name, "", bytes, done);
    unlock();
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real_pwrite64(fd, bytes, count, offset);
    lock();
    ssize_t done = real_pwrite64(fd, bytes, count, offset);
    /* On Linux pwrite() appends, whatever the offset, to what was opened with O_APPEND. */
    if (done > 0 && fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &found))
        offset = found.st_size - done;
    if (done > 0) put('w', found.st_ino, offset, name, "", bytes, done);
    unlock();
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite64(fd, bytes, count, offset);
}

ssize_t writev(int fd, const struct iovec *vector, int vectors) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real_writev(fd, vector, vectors);
    lock();
    ssize_t done = real_writev(fd, vector, vectors);
    if (done > 0) put_copied(fd, found.st_ino, lseek(fd, 0, SEEK_CUR) - done, done);
    unlock();
    return done;
}

ssize_t sendfile64(int fd, int source, off64_t *offset, size_t count) {
    REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real_sendfile64(fd, source, offset, count);
    lock();
    ssize_t done = real_sendfile64(fd, source, offset, count);
    if (done > 0) put_copied(fd, found.st_ino, lseek(fd, 0, SEEK_CUR) - done, done);
    unlock();
    return done;
}

ssize_t sendfile(int fd, int source, off_t *offset, size_t count) {
    return sendfile64(fd, source, offset, count);
}

ssize_t copy_file_range(int source, off64_t *from, int fd, off64_t *to, size_t count,
                        unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real_copy_file_range(source, from, fd, to, count, flags);
    lock();
    ssize_t done = real_copy_file_range(source, from, fd, to, count, flags);
    if (done > 0) put_copied(fd, found.st_ino, (to ? *to : lseek(fd, 0, SEEK_CUR)) - done, done);
    unlock();
    return done;
}

/* Calls that Python can make and nobody here does. */

#define REFUSED(result, call, fd, parameters, ...)                                  \
    result call parameters {                                                        \
        static result (*real) parameters;                                           \
        if (!real) real = (result (*) parameters)dlsym(RTLD_NEXT, #call);           \
        WHOLE = recorded(fd, whole, &found);                                        \
        if (name) {                                                                 \
            lock();                                                                 \
            put('?', found.st_ino, 0, #call, name, NULL, 0);                        \
            unlock();                                                               \
        }                                                                           \
        return real(__VA_ARGS__);                                                   \
    }

REFUSED(ssize_t, pwritev, fd, (int fd, const struct iovec *v, int n, off_t at), fd, v, n, at)
REFUSED(ssize_t, pwritev64, fd, (int fd, const struct iovec *v, int n, off64_t at), fd, v, n, at)
REFUSED(ssize_t, pwritev64v2, fd, (int fd, const struct iovec *v, int n, off64_t at, int flags),
        fd, v, n, at, flags)
REFUSED(ssize_t, splice, to, (int from, off64_t *a, int to, off64_t *b, size_t n, unsigned flags),
        from, a, to, b, n, flags)

int ftruncate64(int fd, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real_ftruncate64(fd, size);
    lock();
    int failed = real_ftruncate64(fd, size);
    if (!failed) put('t', found.st_ino, size, name, "", NULL, 0);
    unlock();
    return failed;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int truncate64(const char *path, off64_t size) {
    REAL(int, truncate64, const char *, off64_t);
    char whole[PATH_MAX];
    const char *name = resolved(AT_FDCWD, path, whole);
    if (!name) return real_truncate64(path, size);
    lock();
    int failed = real_truncate64(path, size);
    if (!failed) put('t', inode_at(whole), size, name, "", NULL, 0);
    unlock();
    return failed;
}

int truncate(const char *path, off_t size) { return truncate64(path, size); }

int fallocate64(int fd, int mode, off64_t offset, off64_t count) {
    REAL(int, fallocate64, int, int, off64_t, off64_t);
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real_fallocate64(fd, mode, offset, count);
    lock();
    int failed = real_fallocate64(fd, mode, offset, count);
    if (!failed && mode) put('?', found.st_ino, 0, "fallocate", name, NULL, 0);
    else if (!failed && !fstat(fd, &found) && offset + count >= found.st_size)
        put('t', found.st_ino, found.st_size, name, "", NULL, 0);
    unlock();
    return failed;
}

int fallocate(int fd, int mode, off_t offset, off_t count) {
    return fallocate64(fd, mode, offset, count);
}

int posix_fallocate64(int fd, off64_t offset, off64_t count) {
    return fallocate64(fd, 0, offset, count) ? errno : 0;
}

int posix_fallocate(int fd, off_t offset, off_t count) {
    return posix_fallocate64(fd, offset, count);
}

/* ---- memory that is mapped to a file */

void *mmap64(void *wanted, size_t size, int protection, int flags, int fd, off64_t offset) {
    REAL(void *, mmap64, void *, size_t, int, int, int, off64_t);
    WHOLE = NULL;
    int writes = protection & PROT_WRITE && (flags & MAP_TYPE) != MAP_PRIVATE && fd >= 0;
    void *start = real_mmap64(wanted, size, protection, flags, fd, offset);
    if (start == MAP_FAILED || !writes || !(name = recorded(fd, whole, &found))) return start;
    lock();
    int free_one = 0;
    while (free_one < MAPPINGS && mappings[free_one].start) free_one++;
    if (free_one == MAPPINGS) put('?', found.st_ino, 0, "mmap", name, NULL, 0);
    else {
        char *seen = malloc(size);
        memcpy(seen, start, size);
        mappings[free_one] = (struct mapping){start, seen, size, found.st_ino, offset};
        put('M', found.st_ino, offset, name, "", NULL, 0);
    }
    unlock();
    return start;
}

void *mmap(void *wanted, size_t size, int protection, int flags, int fd, off_t offset) {
    return mmap64(wanted, size, protection, flags, fd, offset);
}

int munmap(void *start, size_t size) {
    REAL(int, munmap, void *, size_t);
    int known = 0;
    if (record >= 0 && owner == getpid())
        for (int i = 0; i < MAPPINGS; i++) known |= mappings[i].start && mappings[i].start == start;
    if (!known) return real_munmap(start, size);
    lock();
    for (int i = 0; i < MAPPINGS; i++) {
        if (mappings[i].start != start) continue;
        free(mappings[i].seen);
        memset(&mappings[i], 0, sizeof mappings[i]);
    }
    int failed = real_munmap(start, size);
    unlock();
    return failed;
}

/* ---- syncs */

static int recorded_sync(int (*real)(int), int fd) {
    WHOLE = recorded(fd, whole, &found);
    if (!name) return real(fd);
    lock();
    int failed = real(fd);
    if (!failed) put(S_ISDIR(found.st_mode) ? 'S' : 's', found.st_ino, 0, name, "", NULL, 0);
    unlock();
    return failed;
}

int fsync(int fd) {
    REAL(int, fsync, int);
    return recorded_sync(real_fsync, fd);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return recorded_sync(real_fdatasync, fd);
}

REFUSED(int, syncfs, fd, (int fd), fd)

void sync(void) {
    REAL(void, sync, void);
    real_sync();
    if (!is_active()) return;
    lock();
    put('?', 0, 0, "sync", "", NULL, 0);
    unlock();
}

/* ---- names */

static int recorded_pair(int kind, int (*real)(int, const char *, int, const char *, int), int from,
                         const char *old, int to, const char *new, int flags) {
    char one[PATH_MAX], two[PATH_MAX];
    const char *name = resolved(from, old, one), *other = resolved(to, new, two);
    if (!name && !other) return real(from, old, to, new, flags);
    lock();
    uint64_t inode = inode_at(one);
    int failed = real(from, old, to, new, flags);
    if (!failed && name && other) put(kind, inode, 0, name, other, NULL, 0);
    else if (!failed) put('?', inode, kind, one, two, NULL, 0);
    unlock();
    return failed;
}

static int by_renameat(int from, const char *old, int to, const char *new, int flags) {
    REAL(int, renameat, int, const char *, int, const char *);
    (void)flags;
    return real_renameat(from, old, to, new);
}

static int by_linkat(int from, const char *old, int to, const char *new, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    return real_linkat(from, old, to, new, flags);
}

int rename(const char *old, const char *new) {
    return recorded_pair('r', by_renameat, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat(int from, const char *old, int to, const char *new) {
    return recorded_pair('r', by_renameat, from, old, to, new, 0);
}

int link(const char *old, const char *new) {
    return recorded_pair('l', by_linkat, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    return recorded_pair('l', by_linkat, from, old, to, new, flags);
}

static int recorded_name(int kind, int (*real)(int, const char *, int), int directory,
                         const char *path, int flags) {
    char whole[PATH_MAX];
    const char *name = resolved(directory, path, whole);
    if (!name) return real(directory, path, flags);
    lock();
    uint64_t inode = inode_at(whole);
    int failed = real(directory, path, flags);
    if (!failed) put(kind, inode ? inode : inode_at(whole), 0, name, "", NULL, 0);
    unlock();
    return failed;
}

static int by_unlinkat(int directory, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    return real_unlinkat(directory, path, flags);
}

static int by_mkdirat(int directory, const char *path, int mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    return real_mkdirat(directory, path, mode);
}

int unlink(const char *path) { return recorded_name('u', by_unlinkat, AT_FDCWD, path, 0); }

int rmdir(const char *path) {
    return recorded_name('d', by_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int unlinkat(int directory, const char *path, int flags) {
    return recorded_name(flags & AT_REMOVEDIR ? 'd' : 'u', by_unlinkat, directory, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    return recorded_name('m', by_mkdirat, AT_FDCWD, path, mode);
}

int mkdirat(int directory, const char *path, mode_t mode) {
    return recorded_name('m', by_mkdirat, directory, path, mode);
}

int symlinkat(const char *target, int directory, const char *path) {
    REAL(int, symlinkat, const char *, int, const char *);
    char whole[PATH_MAX];
    const char *name = resolved(directory, path, whole);
    int failed = real_symlinkat(target, directory, path);
    if (!name || failed) return failed;
    lock();
    put('?', inode_at(whole), 0, "symlink", name, NULL, 0);
    unlock();
    return failed;
}

int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }
