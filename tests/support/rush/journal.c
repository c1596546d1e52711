/* Writes down every change of the files in one folder, in order, with every flush: what a disk was told, and when.
 *
 * LD_PRELOAD it; DISK_JOURNAL names the folder, the journal is FOLDER/../journal. One record:
 *   kind (1 write, 2 flush, 3 truncate, 4 remove), name length, offset or size, data length; name; data.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char folder[512];

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off64_t);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    const char *wanted = getenv("DISK_JOURNAL");
    if (wanted == NULL || strlen(wanted) > 400) return;
    snprintf(folder, sizeof folder, "%s/", wanted);
    char path[600];
    snprintf(path, sizeof path, "%s/../journal", wanted);
    journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(int kind, const char *name, uint64_t at, const void *data, uint64_t size) {
    uint64_t head[4] = {(uint64_t)kind, strlen(name), at, size};
    real_write(journal, head, sizeof head);
    real_write(journal, name, strlen(name));
    if (size) real_write(journal, data, size);
}

/* The file's name in the folder, or NULL for any other file. */
static const char *ours(int fd, char *path, size_t room) {
    if (journal < 0 || fd == journal) return NULL;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, room - 1);
    if (size <= 0) return NULL;
    path[size] = 0;
    return strncmp(path, folder, strlen(folder)) == 0 ? path + strlen(folder) : NULL;
}

ssize_t write(int fd, const void *data, size_t size) {
    char path[1024];
    const char *name = ours(fd, path, sizeof path);
    if (name == NULL) return real_write(fd, data, size);
    pthread_mutex_lock(&turn);
    off64_t end = lseek64(fd, 0, (fcntl(fd, F_GETFL) & O_APPEND) ? SEEK_END : SEEK_CUR);
    ssize_t done = real_write(fd, data, size);
    if (done > 0) note(1, name, (uint64_t)end, data, (uint64_t)done);
    pthread_mutex_unlock(&turn);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    char path[1024];
    const char *name = ours(fd, path, sizeof path);
    if (name == NULL) return real_pwrite(fd, data, size, at);
    pthread_mutex_lock(&turn);
    ssize_t done = real_pwrite(fd, data, size, at);
    if (done > 0) note(1, name, (uint64_t)at, data, (uint64_t)done);
    pthread_mutex_unlock(&turn);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

/* DISK_SLOW names a file; while it exists each flush takes 200 ms longer. */
static void be_slow(void) {
    const char *sign = getenv("DISK_SLOW");
    if (sign != NULL && access(sign, F_OK) == 0) usleep(200000);
}

static int flush(int fd, int (*real)(int)) {
    char path[1024];
    be_slow();
    const char *name = ours(fd, path, sizeof path);
    if (name == NULL) return real(fd);
    pthread_mutex_lock(&turn);
    int done = real(fd);
    if (done == 0) note(2, name, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return done;
}

int fsync(int fd) { return flush(fd, real_fsync); }
int fdatasync(int fd) { return flush(fd, real_fdatasync); }

int ftruncate64(int fd, off64_t size) {
    char path[1024];
    const char *name = ours(fd, path, sizeof path);
    if (name == NULL) return real_ftruncate(fd, size);
    pthread_mutex_lock(&turn);
    int done = real_ftruncate(fd, size);
    if (done == 0) note(3, name, (uint64_t)size, NULL, 0);
    pthread_mutex_unlock(&turn);
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int unlink(const char *path) {
    pthread_mutex_lock(&turn);
    int done = real_unlink(path);
    if (done == 0 && journal >= 0 && strncmp(path, folder, strlen(folder)) == 0)
        note(4, path + strlen(folder), 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return done;
}
