# SPDX-License-Identifier: Apache-2.0
tz_test(NAME test_memvfs LABEL fault SOURCES fault/test_memvfs.c LINK tz_memvfs tz_db)
tz_test(NAME test_crash_points LABEL fault TIMEOUT 600
        SOURCES fault/test_crash_points.c support/two_offices.c support/two_offices_save.c
        LINK client_lib server_core tz_memvfs tz_crypto)
