/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key and certificate files. Keys are 0600 from the first byte on and overwritten in memory afterwards. Nothing here
 * replaces a file that exists: losing the CA key would cut off every device.
 */
#include "identity.h"

#include <string.h>
#include <unistd.h>

static const char *const FILES[] = {"ca.key", "ca.crt", "server.key", "server.crt"};

static int make(struct tz_identity *id, const char *name, struct tz_err *err)
{
    int rc = tz_pki_key_new(&id->ca_key, err);
    if (!rc)
        rc = tz_pki_ca_new(tz_buf_unread(&id->ca_key), name, &id->ca_cert, err);
    if (!rc)
        rc = tz_pki_key_new(&id->server_key, err);
    if (rc)
        return rc;
    struct tz_pki_ca ca = {tz_buf_unread(&id->ca_cert), tz_buf_unread(&id->ca_key)};
    return tz_pki_server_cert(&ca, tz_buf_unread(&id->server_key), name, NULL, 0, &id->server_cert, err);
}

void tz_identity_remove(const struct tz_datadir *d)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++)
        (void)unlink(tz_datadir_file(d, FILES[i], path));
}

int tz_identity_create(const struct tz_datadir *d, const char *name, struct tz_err *err)
{
    struct tz_identity id;
    const struct tz_buf *const parts[] = {&id.ca_key, &id.ca_cert, &id.server_key, &id.server_cert};
    memset(&id, 0, sizeof id);
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++)
        if (tz_datadir_has(d, FILES[i]))
            return tz_err_set(err, TZ_E_DATA_EXISTS, d->path, NULL, NULL, NULL);
    tz_buf_init(&id.ca_key, TZ_PKI_PEM_MAX);
    tz_buf_init(&id.ca_cert, TZ_PKI_PEM_MAX);
    tz_buf_init(&id.server_key, TZ_PKI_PEM_MAX);
    tz_buf_init(&id.server_cert, TZ_PKI_PEM_MAX);
    int rc = make(&id, name, err);
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0] && !rc; i++)
        rc = tz_datadir_write_new(d, FILES[i], i % 2 ? 0644 : 0600, tz_buf_unread(parts[i]), err);
    if (rc)
        tz_identity_remove(d);
    tz_identity_deinit(&id);
    return rc;
}

int tz_identity_load(const struct tz_datadir *d, struct tz_identity *id, struct tz_err *err)
{
    struct tz_buf *const parts[] = {&id->ca_key, &id->ca_cert, &id->server_key, &id->server_cert};
    int rc = 0;
    memset(id, 0, sizeof *id);
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0] && !rc; i++)
        rc = tz_datadir_read(d, FILES[i], parts[i], err);
    tz_buf_init(&id->ca_der, TZ_PKI_PEM_MAX);
    if (!rc)
        rc = tz_pki_cert_to_der(tz_buf_unread(&id->ca_cert), &id->ca_der, err);
    if (!rc)
        rc = tz_pki_cert_pin(tz_buf_unread(&id->server_cert), id->pin, err);
    return rc;
}

void tz_identity_deinit(struct tz_identity *id)
{
    tz_buf_deinit_secret(&id->ca_key);
    tz_buf_deinit_secret(&id->server_key);
    tz_buf_deinit(&id->ca_cert);
    tz_buf_deinit(&id->server_cert);
    tz_buf_deinit(&id->ca_der);
}

int tz_identity_pin(const struct tz_datadir *d, uint8_t pin[TZ_PKI_PIN_BYTES], struct tz_err *err)
{
    struct tz_buf cert;
    int rc = tz_datadir_read(d, "server.crt", &cert, err);
    if (!rc)
        rc = tz_pki_cert_pin(tz_buf_unread(&cert), pin, err);
    tz_buf_deinit(&cert);
    return rc;
}

int tz_identity_sign(void *identity, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                     uint8_t fingerprint[TZ_PKI_PIN_BYTES], struct tz_err *err)
{
    const struct tz_identity *id = identity;
    struct tz_pki_ca ca = {tz_buf_unread(&id->ca_cert), tz_buf_unread(&id->ca_key)};
    int rc = tz_pki_client_cert(&ca, csr, device, certificate, err);
    return rc ? rc : tz_pki_cert_fingerprint(tz_buf_unread(certificate), fingerprint, err);
}
