# SPDX-License-Identifier: Apache-2.0
# tz_e2e(NAME x SCRIPT e2e/test_y.py [TIMEOUT 120]): a Python script that drives the built programs; tests/e2e/tz.py is its helper.
# TAIZHANGD and TAIZHANG name the programs; TAIZHANG is unset when the client is not part of the build.
# The system's Python first: python3-protobuf and python3-cryptography are packages of that one.
find_program(TZ_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(TZ_PYTHON NAMES python3)
function(tz_e2e)
  cmake_parse_arguments(A "" "NAME;SCRIPT;TIMEOUT" "" ${ARGN})
  if(NOT TZ_PYTHON)
    message(WARNING "no Python 3: ${A_NAME} is left out")
    return()
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_test(NAME ${A_NAME} COMMAND ${TZ_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/${A_SCRIPT})
  set_tests_properties(${A_NAME} PROPERTIES LABELS e2e TIMEOUT ${A_TIMEOUT} COST ${A_TIMEOUT} ENVIRONMENT
    "TAIZHANGD=$<TARGET_FILE:taizhangd>;TAIZHANG=$<$<TARGET_EXISTS:taizhang>:$<TARGET_FILE:taizhang>>;TZ_SOURCE=${PROJECT_SOURCE_DIR}")
endfunction()

# A message, field, op kind or choice that the isolation test has no case for fails the build, not only the test.
if(TZ_PYTHON)
  set(classified ${CMAKE_CURRENT_BINARY_DIR}/isolation_classified.stamp)
  add_custom_command(OUTPUT ${classified}
    COMMAND ${CMAKE_COMMAND} -E env TAIZHANGD=- TAIZHANG=- TZ_SOURCE=${PROJECT_SOURCE_DIR}
            ${TZ_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_isolation.py --classified
    COMMAND ${CMAKE_COMMAND} -E touch ${classified}
    DEPENDS ${PROJECT_SOURCE_DIR}/proto/sync.proto ${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_isolation.py
    COMMENT "Checking that every message of sync.proto has its case in the isolation test"
    VERBATIM)
  add_custom_target(isolation_classified ALL DEPENDS ${classified})
endif()

tz_e2e(NAME server_admin SCRIPT e2e/test_server_admin.py)
tz_e2e(NAME pyclient_codec SCRIPT e2e/pyclient/test_codec.py TIMEOUT 30)
tz_e2e(NAME second_implementation SCRIPT e2e/test_second_implementation.py TIMEOUT 240)
tz_e2e(NAME data_commands SCRIPT e2e/test_data_cmds.py TIMEOUT 300)
tz_e2e(NAME join_sync SCRIPT e2e/test_join_sync.py TIMEOUT 300)
tz_e2e(NAME kill9 SCRIPT e2e/test_kill9.py TIMEOUT 1800)
tz_e2e(NAME isolation SCRIPT e2e/test_isolation.py TIMEOUT 300)
tz_e2e(NAME reoffer SCRIPT e2e/test_reoffer.py TIMEOUT 300)
tz_e2e(NAME copied SCRIPT e2e/test_copied.py TIMEOUT 300)
tz_e2e(NAME hostile SCRIPT e2e/test_hostile.py TIMEOUT 300)
tz_e2e(NAME catalogue_upgrade SCRIPT e2e/test_catalogue_upgrade.py TIMEOUT 240)
tz_e2e(NAME bad_days SCRIPT e2e/test_bad_days.py TIMEOUT 240)
tz_e2e(NAME repair SCRIPT e2e/test_repair.py TIMEOUT 120)
tz_e2e(NAME attention SCRIPT e2e/test_attention.py TIMEOUT 240)
tz_e2e(NAME ledger SCRIPT e2e/test_ledger.py TIMEOUT 240)
tz_e2e(NAME duplicates SCRIPT e2e/test_duplicates.py TIMEOUT 120)
tz_e2e(NAME moved SCRIPT e2e/test_moved.py TIMEOUT 240)
tz_e2e(NAME walkthroughs SCRIPT e2e/test_walkthroughs.py TIMEOUT 120)
tz_e2e(NAME query SCRIPT e2e/test_query.py TIMEOUT 60)
tz_e2e(NAME restore SCRIPT e2e/test_restore.py TIMEOUT 300)
tz_e2e(NAME history SCRIPT e2e/test_history.py TIMEOUT 240)
if(TZ_TEST_CLOCK)
  tz_e2e(NAME long_absence SCRIPT e2e/test_long_absence.py TIMEOUT 300)
  tz_e2e(NAME compaction SCRIPT e2e/test_compaction.py TIMEOUT 300)
endif()
