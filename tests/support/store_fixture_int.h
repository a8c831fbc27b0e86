/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_STORE_FIXTURE_INT_H
#define TZ_STORE_FIXTURE_INT_H

/* Inside the store fixture. */

#include "store_fixture.h"

extern struct sx *sx_base; /* closed store and devices that each test starts from */
/** @rc is 0, or the test fails with what f->err says. */
void sx_check(struct sx *f, int rc);
/** Its devices, in the order of their numbers. */
void sx_each_dev(struct sx *f, struct sx_dev *out[7]);

#endif
