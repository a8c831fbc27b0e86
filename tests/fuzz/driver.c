/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target as a plain test, without libFuzzer: every file of the folders (or files) named on the command line
 * as it is, then mutations of each.
 *
 * 1. Mutation k of file i depends on k, i and the file alone: the same corpus gives the same inputs everywhere, and a
 * slow machine only runs fewer of them.
 * 2. Mutations go round the files, so that the time limit cuts all of them short alike.
 * 3. The input a target dies on is left in ./crash-input and its origin is printed; `fuzz_x crash-input` repeats it.
 *
 * It does not measure coverage, so it finds what a careless change broke rather than what nobody thought of: libFuzzer
 * (preset fuzz) does that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { FILES_MAX = 1000, FILE_BYTES_MAX = 1 << 20, ROUNDS = 2000, GROWTH_BYTES_MAX = 512, TIME_MS_MAX = 5000 };

struct sample {
    char name[300];
    uint8_t *p;
    size_t n;
};

static struct sample samples[FILES_MAX];
static size_t nsamples;
static struct { /* what is running, for the post mortem */
    const uint8_t *p;
    size_t n;
    char origin[400];
} now;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void put(int fd, const void *p, size_t n)
{
    ssize_t written = write(fd, p, n);
    (void)written;
}

/* Only calls that are safe in a signal handler. */
static void post_mortem(void)
{
    put(STDERR_FILENO, "died on ", 8);
    put(STDERR_FILENO, now.origin, strlen(now.origin));
    put(STDERR_FILENO, "; input is in crash-input\n", 26);
    int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) {
        put(fd, now.p, now.n);
        close(fd);
    }
}

static void on_signal(int sig)
{
    post_mortem();
    signal(sig, SIG_DFL);
    raise(sig);
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void sample_add(const char *name, const void *p, size_t n)
{
    if (nsamples == FILES_MAX)
        return;
    struct sample *s = &samples[nsamples];
    s->p = (uint8_t *)malloc(n + 1);
    if (!s->p)
        abort();
    if (n > 0)
        memcpy(s->p, p, n);
    s->n = n;
    snprintf(s->name, sizeof s->name, "%s", name);
    nsamples++;
}

static void read_file(const char *path)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    sample_add(path, bytes, fread(bytes, 1, sizeof bytes, f));
    fclose(f);
}

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* A missing folder is an empty one: git keeps no empty folders. */
static void read_folder(const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, not_hidden, alphasort);
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        struct stat st;
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode))
            read_file(file);
        free(entries[i]);
    }
    free(entries);
}

static void run(const uint8_t *p, size_t n, const char *name, int round)
{
    now.p = p;
    now.n = n;
    if (round < 0)
        snprintf(now.origin, sizeof now.origin, "%s", name);
    else
        snprintf(now.origin, sizeof now.origin, "%s, mutation %d", name, round);
    /* An exact allocation, so that the sanitizer sees one byte too many. */
    uint8_t *copy = (uint8_t *)malloc(n > 0 ? n : 1);
    if (!copy)
        abort();
    if (n > 0)
        memcpy(copy, p, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

/* Move the tail at @at by @by bytes, the gap filled with noise. */
static size_t insert_noise(uint8_t *p, size_t n, size_t at, size_t by, uint64_t *x)
{
    memmove(p + at + by, p + at, n - at);
    for (size_t i = 0; i < by; i++)
        p[at + i] = (uint8_t)(next_random(x) >> 32);
    return n + by;
}

/* One small change. Interesting bytes are the bounds of varints and lengths. Returns the new length, which grows ≤ 16.
 */
static size_t mutate_once(uint8_t *p, size_t n, uint64_t *x)
{
    static const uint8_t bounds[] = {0x00, 0x01, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x08, 0x0A, 0x12};
    uint64_t r = next_random(x);
    size_t at = n > 0 ? (size_t)(r >> 16) % n : 0;
    if (n == 0)
        return insert_noise(p, n, 0, (size_t)(r >> 8) % 16 + 1, x);
    switch (r % 8) {
    case 0:
        p[at] = (uint8_t)(p[at] ^ (1u << ((r >> 8) % 8)));
        return n;
    case 1:
        p[at] = bounds[(r >> 8) % sizeof bounds];
        return n;
    case 2:
        p[at]++;
        return n;
    case 3:
        p[at]--;
        return n;
    case 4:
        return at; /* cut */
    case 5: {
        size_t gone = (size_t)(r >> 8) % 8 + 1;
        gone = gone > n - at ? n - at : gone;
        memmove(p + at, p + at + gone, n - at - gone);
        return n - gone;
    }
    case 6: { /* repeat a piece where it stands */
        size_t piece = (size_t)(r >> 8) % 16 + 1;
        piece = piece > n - at ? n - at : piece;
        memmove(p + at + piece, p + at, n - at);
        return n + piece;
    }
    default:
        return insert_noise(p, n, at, (size_t)(r >> 8) % 4 + 1, x);
    }
}

static void run_mutation(size_t index, int round)
{
    static uint8_t bytes[FILE_BYTES_MAX + GROWTH_BYTES_MAX];
    const struct sample *s = &samples[index];
    uint64_t x =
        UINT64_C(0x9E3779B97F4A7C15) ^ ((uint64_t)index << 32) ^ (uint64_t)(round + 1) * UINT64_C(0xD1342543DE82EF95);
    for (int i = 0; i < 4; i++)
        next_random(&x);
    memcpy(bytes, s->p, s->n);
    size_t n = s->n;
    uint64_t changes = next_random(&x) % 16 + 1; /* 16 × 16 bytes at most */
    for (uint64_t i = 0; i < changes; i++)
        n = mutate_once(bytes, n, &x);
    run(bytes, n, s->name, round);
}

int main(int argc, char **argv)
{
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(post_mortem);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISREG(st.st_mode))
            read_file(argv[i]);
        else
            read_folder(argv[i]);
    }
    size_t nfiles = nsamples;
    sample_add("built-in: empty", "", 0);
    sample_add("built-in: zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    sample_add("built-in: ones", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16);
    sample_add("built-in: text", "{\"a\":1,\"b\":[true,null]}\r\na,b,\"c\"\n", 34);
    for (size_t i = 0; i < nsamples; i++)
        run(samples[i].p, samples[i].n, samples[i].name, -1);

    int64_t start = now_ms();
    size_t mutations = 0;
    for (int round = 0; round < ROUNDS && now_ms() - start < TIME_MS_MAX; round++)
        for (size_t i = 0; i < nsamples && now_ms() - start < TIME_MS_MAX; i++, mutations++)
            run_mutation(i, round);
    printf("%zu files, %zu built in, %zu mutations, %lld ms\n", nfiles, nsamples - nfiles, mutations,
           (long long)(now_ms() - start));
    for (size_t i = 0; i < nsamples; i++)
        free(samples[i].p);
    return 0;
}
