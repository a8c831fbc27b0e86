# SPDX-License-Identifier: Apache-2.0
tz_test(NAME test_memvfs LABEL fault SOURCES fault/test_memvfs.c LINK tz_memvfs tz_db)
