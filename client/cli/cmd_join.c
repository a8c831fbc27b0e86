/* SPDX-License-Identifier: Apache-2.0 */
/* taizhang join CODE: enrol this data folder. */
#include "cli.h"
#include "join.h"
#include "out.h"

#include <stdio.h>

static int print_joined(const struct tz_identity *id, bool again)
{
    if (out_json_mode())
        return out_json(json_pack("{s:b, s:b, s:i, s:s, s:s, s:s, s:s}", "joined", 1, "again", again, "device",
                                  (int)id->device, "name", id->name, "role", id->role, "area", id->area, "server",
                                  id->address));
    (void)printf(again ? tr("已经用这个邀请码加入过：设备 %u（%s），角色 %s，辖区 %s\n",
                            "joined already by this invitation: device %u (%s), role %s, area %s\n")
                       : tr("已加入：设备 %u（%s），角色 %s，辖区 %s\n", "joined: device %u (%s), role %s, area %s\n"),
                 id->device, id->name, id->role, id->area);
    out_note("%s", tr("下一步：运行 taizhang sync 取回辖区的记录。",
                      "Next: run taizhang sync to receive the area's records."));
    return 0;
}

int cmd_join(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct tz_join_options opt = {.software = "taizhang " TZ_VERSION};
    struct tz_identity id;
    bool again;
    if (argc != 2)
        return cli_usage_error(c, "%s", tr("需要一个邀请码", "one invitation code is needed"));
    opt.code = argv[1];
    int rc = cli_data(c, &opt.dir, &err);
    if (rc == 0)
        rc = cli_catalogue(c, &opt.catalogue, &err);
    if (rc == 0)
        rc = tz_join(&opt, &id, &again, &err);
    if (rc != 0)
        return out_error(&err);
    return print_joined(&id, again) == 0 ? CLI_DONE : CLI_FAILED;
}
