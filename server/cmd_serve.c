/* SPDX-License-Identifier: Apache-2.0 */
/* taizhangd serve: the lock, then the server until it is told to stop. */
#include "cli.h"
#include "server.h"

#include <signal.h>
#include <stdio.h>

enum { LOCK_WAIT_MS = 1000 /* an administrator's command holds it for a moment */ };

int tz_cmd_serve(struct tz_cli *c)
{
    int rc = tz_cli_open(c, false);
    if (!rc)
        rc = tz_cli_catalogue(c);
    if (!rc)
        rc = tz_cli_lock(c, LOCK_WAIT_MS);
    if (rc)
        return rc;
    /* A file at its size limit is an error like a full disk, not a reason to be killed. */
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
        return tz_err_set(&c->err, TZ_E_INTERNAL, "SIGXFSZ", NULL, NULL, NULL);
    const struct tz_server_options o = {
        .dir = &c->dir, .config = &c->config, .catalogue = &c->catalogue, .out = stdout, .json = c->json};
    return tz_server_run(&o, &c->err);
}
