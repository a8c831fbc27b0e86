/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_USCI_H
#define TZ_USCI_H

/* Unified social credit codes, GB 32100-2015. Pure, any thread. */

#include "value.h"

enum tz_usci {
    TZ_USCI_OK,
    TZ_USCI_LENGTH,   /* not 18 characters */
    TZ_USCI_ALPHABET, /* a character codes do not have: I O S V Z, lower case, … */
    TZ_USCI_CHECK,    /* well formed, wrong check character: some early codes are so; a warning, not a refusal */
};

enum tz_usci tz_usci_check(struct tz_bytes code);

#endif
