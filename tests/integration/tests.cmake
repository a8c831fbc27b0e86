# SPDX-License-Identifier: Apache-2.0
tz_test(NAME test_dbthread LABEL integration SOURCES integration/test_dbthread.c LINK tz_db)
tz_test(NAME test_db_files LABEL integration SOURCES integration/test_db_files.c LINK tz_db)
tz_test(NAME test_catalogue_dir LABEL integration SOURCES integration/test_catalogue_dir.c LINK tz_db)

# net
tz_test(NAME test_stream LABEL integration SOURCES integration/test_stream.c LINK tz_net tz_crypto PkgConfig::LIBUV)
tz_test(NAME test_control LABEL integration SOURCES integration/test_control.c LINK tz_net PkgConfig::LIBUV Threads::Threads)
tz_test(NAME test_office_store LABEL integration SOURCES integration/test_office_store.c LINK client_lib server_core)
tz_test(NAME test_repair LABEL integration TIMEOUT 120 SOURCES integration/test_repair.c LINK client_lib tz_store_fixture)
tz_test(NAME test_repair_answers LABEL integration TIMEOUT 120 SOURCES integration/test_repair_answers.c LINK client_lib tz_store_fixture)

# server
tz_test(NAME test_exec LABEL integration
        SOURCES integration/test_exec.c ../server/exec.c ../server/admin.c ../server/metrics.c
        LINK server_core tz_net tz_db tz_memvfs PkgConfig::LIBUV PkgConfig::JANSSON)
tz_test(NAME test_admin LABEL integration SOURCES integration/test_admin.c ../server/admin.c
        LINK tz_store_fixture tz_net PkgConfig::JANSSON)
tz_test(NAME test_journal LABEL integration
        SOURCES integration/test_journal.c ../server/journal.c ../server/datadir.c LINK server_core)

# client
tz_test(NAME test_client LABEL integration SOURCES integration/test_client.c LINK client_net)
