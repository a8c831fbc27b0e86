/* SPDX-License-Identifier: Apache-2.0 */
/* The real programs: started, timed, ended. Their output goes to files in the work folder. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 32, ANSWER_BYTES_MAX = 16384 };

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/** stdout to @out, stderr to @out.err. */
static pid_t start(const char *const argv[], const char *out)
{
    char err[BENCH_PATH_BYTES];
    int n = snprintf(err, sizeof err, "%s.err", out);
    bench_check(n > 0 && n < (int)sizeof err, "path too long");
    pid_t pid = fork();
    bench_check(pid >= 0, "fork: %s", strerror(errno));
    if (pid)
        return pid;
    int o = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int e = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (o < 0 || e < 0 || dup2(o, 1) < 0 || dup2(e, 2) < 0)
        _exit(126);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void finish(pid_t pid, double begun, struct bench_run *r)
{
    struct rusage u;
    int status = 0;
    bench_check(wait4(pid, &status, 0, &u) == pid, "wait4: %s", strerror(errno));
    r->wall = bench_now() - begun;
    r->user = seconds(u.ru_utime);
    r->sys = seconds(u.ru_stime);
    r->peak_kib = u.ru_maxrss;
    r->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void show_file(const char *path)
{
    char line[1024];
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        fputs(line, stderr);
    if (f)
        fclose(f);
}

/** Run @program with @args; what it printed is in work/run.out. */
static void run(const struct bench *b, const char *program, const char *const args[], struct bench_run *r)
{
    char path[BENCH_PATH_BYTES];
    char out[BENCH_PATH_BYTES];
    char err[BENCH_PATH_BYTES];
    const char *argv[ARGS_MAX] = {path, "--lang", "en"};
    size_t n = 3;
    bench_path(path, b->opt.bin, program);
    bench_path(out, b->opt.work, "run.out");
    bench_path(err, b->opt.work, "run.out.err");
    for (size_t i = 0; args[i]; i++) {
        bench_check(n < ARGS_MAX - 1, "too many arguments");
        argv[n++] = args[i];
    }
    double begun = bench_now();
    finish(start(argv, out), begun, r);
    if (r->status == 0)
        return;
    show_file(out);
    show_file(err);
    bench_die("%s ended with %d", program, r->status);
}

static json_t *answer(const struct bench *b)
{
    char out[BENCH_PATH_BYTES];
    bench_path(out, b->opt.work, "run.out");
    json_t *j = json_load_file(out, 0, NULL);
    bench_check(j != NULL, "no JSON in %s", out);
    return j;
}

void bench_client(const struct bench *b, const char *dir, const char *const args[], struct bench_run *r)
{
    const char *all[ARGS_MAX] = {"--data", dir};
    struct bench_run unused;
    size_t n = 2;
    for (size_t i = 0; args[i] && n < ARGS_MAX - 1; i++)
        all[n++] = args[i];
    run(b, "client/taizhang", all, r ? r : &unused);
}

/* ---- servers ---- */

static pid_t running; /* nobody outlives the benchmark */

static void kill_running(void)
{
    if (running)
        kill(running, SIGKILL);
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bench_check(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 &&
                    getsockname(fd, (struct sockaddr *)&a, &len) == 0,
                "no free port: %s", strerror(errno));
    close(fd);
    return ntohs(a.sin_port);
}

static void await_ready(struct bench_server *s, const char *out)
{
    for (int i = 0; i < 3000; i++) {
        char text[512];
        int fd = open(out, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        int status;
        if (fd >= 0)
            close(fd);
        if (n > 0)
            return;
        bench_check(waitpid(s->pid, &status, WNOHANG) == 0, "the server did not start, see %s.err", out);
        usleep(10000);
    }
    bench_die("the server is not ready after 30 s");
}

void bench_server_start(const struct bench *b, const char *dir, int port, struct bench_server *s)
{
    char program[BENCH_PATH_BYTES];
    char out[BENCH_PATH_BYTES];
    char listen[32];
    const char *argv[] = {program, "serve", "--data", dir, "--listen", listen, NULL};
    bench_path(program, b->opt.bin, "server/taizhangd");
    snprintf(out, sizeof out, "%s/server.out", b->opt.work);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    (void)unlink(out);
    s->b = b;
    s->port = port;
    bench_check(strlen(dir) < sizeof s->dir, "path too long");
    memmove(s->dir, dir, strlen(dir) + 1); /* may be the same */
    if (!running)
        atexit(kill_running);
    running = s->pid = start(argv, out);
    await_ready(s, out);
}

void bench_server_init(const struct bench *b, const char *dir, struct bench_server *s)
{
    struct bench_run r;
    bench_remove_folder(dir);
    run(b, "server/taizhangd", (const char *[]){"init", "--data", dir, NULL}, &r);
    bench_server_start(b, dir, free_port(), s);
}

void bench_server_stop(struct bench_server *s)
{
    int status = 0;
    kill(s->pid, SIGTERM);
    bench_check(waitpid(s->pid, &status, 0) == s->pid && status == 0, "the server ended with %d", status);
    running = s->pid = 0;
}

void bench_join(const struct bench_server *s, const char *dir, const char *role, const char *area)
{
    struct bench_run r;
    const char *name = strrchr(dir, '/') + 1;
    bench_remove_folder(dir);
    run(s->b, "server/taizhangd",
        (const char *[]){"invite", "--role", role, "--area", area, "--name", name, "--json", "--data", s->dir, NULL},
        &r);
    json_t *j = answer(s->b);
    bench_client(s->b, dir, (const char *[]){"join", json_string_value(json_object_get(j, "code")), NULL}, &r);
    json_decref(j);
}

/* ---- what a process uses ---- */

double bench_cpu(pid_t pid)
{
    char path[64];
    char text[1024];
    unsigned long user = 0;
    unsigned long sys = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    bench_check(f && fgets(text, sizeof text, f), "cannot read %s", path);
    fclose(f);
    const char *after = strrchr(text, ')'); /* the name may hold anything */
    bench_check(after && sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) == 2,
                "cannot read %s", path);
    return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

long bench_memory(pid_t pid, const char *name)
{
    char path[64];
    char line[256];
    long kib = -1;
    size_t n = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, strcmp(name, "Pss") == 0 ? "smaps_rollup" : "status");
    FILE *f = fopen(path, "r");
    bench_check(f != NULL, "cannot read %s", path);
    while (kib < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0 && line[n] == ':')
            kib = strtol(line + n + 1, NULL, 10);
    fclose(f);
    bench_check(kib >= 0, "%s has no %s", path, name);
    return kib;
}
