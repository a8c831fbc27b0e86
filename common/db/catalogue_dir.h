/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CATALOGUE_DIR_H
#define TZ_CATALOGUE_DIR_H

#include "catalogue.h"

/**
 * Load the catalogue from a folder: its *.csv files and those of its rows/ folder; other files are ignored. Blocking
 * file reads, for start-up only. TZ_E_IO when something cannot be read, else as tz_catalogue_load; @out is then empty.
 */
TZ_MUST_USE int tz_catalogue_load_dir(const char *dir, struct tz_catalogue *out, struct tz_err *err);

#endif
