/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings. Every value is checked when it is set, wherever it comes from, so reading them cannot fail. An unknown name
 * in the file is an error: a setting with a slip in it must not silently be the default.
 */
#include "config.h"

#include "buf.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 * 1024 };

static const char *const LEVELS[] = {"error", "warn", "info", "debug", NULL}; /* as enum tz_log_level */

static const struct tz_config_item ITEMS[TZ_CONFIG_COUNT] = {
    [TZ_CONFIG_LISTEN] = {"listen",
                          "TAIZHANGD_LISTEN",
                          "",
                          "0.0.0.0:7700",
                          0,
                          0,
                          NULL,
                          {"监听的地址和端口；端口 0 取空闲端口",
                           "address and port to listen on; port 0 takes a free one"}},
    [TZ_CONFIG_PUBLIC_ADDRESS] = {"public_address",
                                  "TAIZHANGD_PUBLIC_ADDRESS",
                                  "",
                                  "",
                                  0,
                                  0,
                                  NULL,
                                  {"写进邀请码的地址（主机名:端口）；不填则用监听地址",
                                   "address written into invitations (host:port); empty: the one listened on"}},
    [TZ_CONFIG_CONNECTIONS_MAX] = {"connections_max",
                                   "TAIZHANGD_CONNECTIONS_MAX",
                                   "connections",
                                   "12000",
                                   1,
                                   1000000,
                                   NULL,
                                   {"同时连接的上限", "connections at the same time"}},
    [TZ_CONFIG_UNAUTHENTICATED_MAX] = {"unauthenticated_max",
                                       "TAIZHANGD_UNAUTHENTICATED_MAX",
                                       "connections",
                                       "256",
                                       1,
                                       1000000,
                                       NULL,
                                       {"其中尚未证明身份的连接的上限",
                                        "of them, those that have not proven who they are"}},
    [TZ_CONFIG_READERS] = {"readers",
                           "TAIZHANGD_READERS",
                           "threads",
                           "1",
                           1,
                           4,
                           NULL,
                           {"读数据库的线程数", "threads that read the database"}},
    [TZ_CONFIG_RECOVERY_DAYS] =
        {"recovery_days",
         "TAIZHANGD_RECOVERY_DAYS",
         "days",
         "30",
         0,
         3650,
         NULL,
         {"恢复之后，设备补交备份所缺内容的天数；0 表示没有恢复期",
          "days after a restore in which devices hand back what the backup lacks; 0: no window"}},
    [TZ_CONFIG_LEASE_DAYS] = {"lease_days",
                              "TAIZHANGD_LEASE_DAYS",
                              "days",
                              "180",
                              1,
                              3650,
                              NULL,
                              {"设备最后一次完整同步之后，清除旧记录时还要等它的天数",
                               "days after its last whole sync for which a device is waited for with purging"}},
    [TZ_CONFIG_PURGE_DAYS] = {"purge_days",
                              "TAIZHANGD_PURGE_DAYS",
                              "days",
                              "180",
                              1,
                              36500,
                              NULL,
                              {"已删除的记录至少保留的天数，之后才清除",
                               "days for which deleted records are kept at least before they are purged"}},
    [TZ_CONFIG_COMPACT_DAYS] =
        {"compact_days",
         "TAIZHANGD_COMPACT_DAYS",
         "days",
         "180",
         1,
         36500,
         NULL,
         {"设备至少保留自己每次保存的原文的天数；之后只要每份备份里都有，就只留目录",
          "days for which devices keep the words of own saves at least; then, when every backup has them, the entry"}},
    [TZ_CONFIG_LOG_LEVEL] =
        {"log_level", "TAIZHANGD_LOG_LEVEL", "", "info", 0, 0, LEVELS, {"日志详细程度", "how much is logged"}},
    [TZ_CONFIG_CATALOGUE] = {"catalogue",
                             "TAIZHANG_CATALOGUE",
                             "",
                             "",
                             0,
                             0,
                             NULL,
                             {"记录目录所在文件夹；不填则用随程序安装的",
                              "folder of the catalogue; empty: the installed one"}},
};

const struct tz_config_item *tz_config_item(enum tz_config_key k)
{
    return &ITEMS[k];
}

const char *tz_config_origin_name(enum tz_config_origin o)
{
    static const char *const names[] = {"default", "file", "environment", "flag"};
    return names[o];
}

static void keep(struct tz_config *c, enum tz_config_key k, const char *value, enum tz_config_origin from)
{
    memcpy(c->value[k], value, strlen(value) + 1);
    c->origin[k] = from;
}

void tz_config_init(struct tz_config *c)
{
    for (int k = 0; k < TZ_CONFIG_COUNT; k++)
        keep(c, (enum tz_config_key)k, ITEMS[k].dflt, TZ_FROM_DEFAULT);
}

/* ---- one value ---- */

static int wrong(const struct tz_config_item *it, const char *value, const char *allowed, struct tz_err *err)
{
    return tz_err_set(err, TZ_E_VALUE, it->name, value, allowed, NULL);
}

static int check_number(const struct tz_config_item *it, const char *value, struct tz_err *err)
{
    char allowed[64];
    char *end = NULL;
    errno = 0;
    long v = strtol(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0 && v >= it->min && v <= it->max)
        return 0;
    (void)snprintf(allowed, sizeof allowed, "%ld-%ld", it->min, it->max);
    return wrong(it, value, allowed, err);
}

static int choice_of(const struct tz_config_item *it, const char *value)
{
    for (int i = 0; it->choices[i]; i++)
        if (strcmp(it->choices[i], value) == 0)
            return i;
    return -1;
}

static int check_choice(const struct tz_config_item *it, const char *value, struct tz_err *err)
{
    char allowed[64] = "";
    size_t n = 0;
    if (choice_of(it, value) >= 0)
        return 0;
    for (int i = 0; it->choices[i] && n < sizeof allowed; i++)
        n += (size_t)snprintf(allowed + n, sizeof allowed - n, "%s%s", i ? "|" : "", it->choices[i]);
    return wrong(it, value, allowed, err);
}

int tz_config_set(struct tz_config *c, enum tz_config_key k, const char *value, enum tz_config_origin from,
                  struct tz_err *err)
{
    const struct tz_config_item *it = &ITEMS[k];
    int rc = 0;
    if (strlen(value) >= TZ_CONFIG_VALUE_BYTES)
        rc = wrong(it, value, "<512", err);
    else if (it->max)
        rc = check_number(it, value, err);
    else if (it->choices)
        rc = check_choice(it, value, err);
    if (!rc)
        keep(c, k, value, from);
    return rc;
}

/* ---- file ---- */

struct reading {
    struct tz_config *c;
    struct tz_err *err;
    int rc;
};

static int on_setting(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    if (r->rc)
        return 1;
    for (int k = 0; k < TZ_CONFIG_COUNT; k++)
        if (strcmp(section, "server") == 0 && strcmp(name, ITEMS[k].name) == 0) {
            r->rc = tz_config_set(r->c, (enum tz_config_key)k, value ? value : "", TZ_FROM_FILE, r->err);
            return 1;
        }
    r->rc = tz_err_set(r->err, TZ_E_VALUE, "taizhangd.ini", name, "[server] listen …", NULL);
    return 1;
}

int tz_config_parse(struct tz_config *c, const char *text, struct tz_err *err)
{
    struct reading r = {c, err, 0};
    char line[16];
    int bad = ini_parse_string(text, on_setting, &r);
    if (r.rc || bad == 0)
        return r.rc;
    if (bad < 0)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    (void)snprintf(line, sizeof line, "%d", bad);
    return tz_err_set(err, TZ_E_VALUE, "taizhangd.ini", line, "name = value", NULL);
}

static int read_file(const char *path, char *text, size_t bytes, struct tz_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = 1;
    text[0] = '\0';
    if (fd < 0)
        return errno == ENOENT ? 0 : tz_err_setf(err, TZ_E_IO, "%s: %s", path, strerror(errno));
    while (n < bytes - 1 && (got = read(fd, text + n, bytes - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    (void)close(fd);
    if (got < 0)
        return tz_err_setf(err, TZ_E_IO, "%s", path);
    return n == bytes - 1 || memchr(text, 0, n) ? tz_err_set(err, TZ_E_LIMIT, path, NULL, NULL, NULL) : 0;
}

int tz_config_file(struct tz_config *c, const char *path, struct tz_err *err)
{
    char *text = malloc(FILE_BYTES_MAX);
    if (!text)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = read_file(path, text, FILE_BYTES_MAX, err);
    if (!rc)
        rc = tz_config_parse(c, text, err);
    free(text);
    return rc;
}

int tz_config_environment(struct tz_config *c, char *(*get)(const char *name), struct tz_err *err)
{
    for (int k = 0; k < TZ_CONFIG_COUNT; k++) {
        const char *v = get(ITEMS[k].env);
        int rc = v && v[0] ? tz_config_set(c, (enum tz_config_key)k, v, TZ_FROM_ENVIRONMENT, err) : 0;
        if (rc) {
            (void)tz_err_prefix(err, "%s", ITEMS[k].env);
            return rc;
        }
    }
    return 0;
}

/* ---- reading ---- */

const char *tz_config_text(const struct tz_config *c, enum tz_config_key k)
{
    return c->value[k];
}

unsigned tz_config_number(const struct tz_config *c, enum tz_config_key k)
{
    return (unsigned)strtoul(c->value[k], NULL, 10);
}

unsigned tz_config_choice(const struct tz_config *c, enum tz_config_key k)
{
    return (unsigned)choice_of(&ITEMS[k], c->value[k]);
}
