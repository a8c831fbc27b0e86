# SPDX-License-Identifier: Apache-2.0
tz_test(NAME test_memvfs LABEL fault SOURCES fault/test_memvfs.c LINK tz_memvfs tz_db)
tz_test(NAME test_restore_points LABEL fault TIMEOUT 300
        SOURCES fault/test_restore_points.c ../server/restore.c ../server/backup.c ../server/journal.c ../server/datadir.c
        LINK server_core PkgConfig::JANSSON -Wl,--wrap=link,--wrap=rename,--wrap=unlink,--wrap=fsync,--wrap=fdatasync)
tz_test(NAME test_crash_points LABEL fault TIMEOUT 600
        SOURCES fault/test_crash_points.c support/two_offices.c support/two_offices_save.c
        LINK client_lib server_core tz_memvfs tz_crypto)
