# SPDX-License-Identifier: Apache-2.0
tz_test(NAME test_err LABEL unit SOURCES unit/test_err.c LINK tz_core)
tz_test(NAME test_buf LABEL unit SOURCES unit/test_buf.c LINK tz_core)
tz_test(NAME test_arena LABEL unit SOURCES unit/test_arena.c LINK tz_core)
tz_test(NAME test_list LABEL unit SOURCES unit/test_list.c LINK tz_core)
tz_test(NAME test_id LABEL unit SOURCES unit/test_id.c LINK tz_core)
tz_test(NAME test_hlc LABEL unit SOURCES unit/test_hlc.c LINK tz_core)
tz_test(NAME test_clock LABEL unit SOURCES unit/test_clock.c LINK tz_core)
tz_test(NAME test_log LABEL unit SOURCES unit/test_log.c LINK tz_core)
tz_test(NAME test_frame LABEL unit SOURCES unit/test_frame.c LINK tz_core)
tz_test(NAME test_codec LABEL unit SOURCES unit/test_codec.c LINK tz_core)
tz_test(NAME test_msg LABEL unit SOURCES unit/test_msg.c support/msg_samples.c LINK tz_proto tz_proto_gen)
tz_test(NAME test_msg_refused LABEL unit SOURCES unit/test_msg_refused.c support/msg_samples.c LINK tz_proto tz_proto_gen)
tz_test(NAME test_db LABEL unit SOURCES unit/test_db.c LINK tz_memvfs tz_db)
tz_test(NAME test_migrate LABEL unit SOURCES unit/test_migrate.c LINK tz_memvfs tz_db)
tz_test(NAME test_csvread LABEL unit SOURCES unit/test_csvread.c LINK tz_core)
tz_test(NAME test_value LABEL unit SOURCES unit/test_value.c LINK tz_core)
tz_test(NAME test_catalogue LABEL unit SOURCES unit/test_catalogue.c LINK tz_core)

# crypto and net
tz_test(NAME test_hash LABEL unit SOURCES unit/test_hash.c LINK tz_crypto Threads::Threads)
tz_test(NAME test_invite LABEL unit SOURCES unit/test_invite.c LINK tz_crypto)
tz_test(NAME test_pki LABEL unit SOURCES unit/test_pki.c LINK tz_crypto OpenSSL::Crypto)
tz_test(NAME test_tls LABEL unit SOURCES unit/test_tls.c LINK tz_net tz_crypto OpenSSL::SSL)
tz_test(NAME test_backoff LABEL unit SOURCES unit/test_backoff.c LINK tz_net)

# client
foreach(name overlay save feed sync import entry)
  tz_test(NAME test_${name} LABEL unit SOURCES unit/test_${name}.c support/office_fixture.c LINK client_lib)
endforeach()

# the central store
add_library(tz_store_fixture STATIC support/store_fixture.c)
target_include_directories(tz_store_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/support)
target_compile_definitions(tz_store_fixture PRIVATE TZ_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(tz_store_fixture PRIVATE tz_common PUBLIC server_core tz_memvfs PkgConfig::JANSSON PkgConfig::CMOCKA)
tz_test(NAME test_store LABEL unit SOURCES unit/test_store.c LINK tz_store_fixture)
tz_test(NAME test_store_order LABEL unit SOURCES unit/test_store_order.c LINK tz_store_fixture)
tz_test(NAME test_store_life LABEL unit SOURCES unit/test_store_life.c LINK tz_store_fixture)
tz_test(NAME test_store_cases LABEL unit SOURCES unit/test_store_cases.c LINK tz_store_fixture)
tz_test(NAME test_store_feed LABEL unit SOURCES unit/test_store_feed.c LINK tz_store_fixture)
tz_test(NAME test_store_sets LABEL unit SOURCES unit/test_store_sets.c LINK tz_store_fixture)
tz_test(NAME test_merge LABEL unit SOURCES unit/test_merge.c LINK tz_core)

# server
tz_test(NAME test_config LABEL unit SOURCES unit/test_config.c ../server/config.c LINK tz_core PkgConfig::INIH)
target_include_directories(test_config PRIVATE ${PROJECT_SOURCE_DIR}/server)
tz_test(NAME test_session LABEL unit SOURCES unit/test_session.c LINK tz_store_fixture)
tz_test(NAME test_replica LABEL unit SOURCES unit/test_replica.c LINK tz_memvfs tz_db)
