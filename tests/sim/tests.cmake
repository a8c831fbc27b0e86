# SPDX-License-Identifier: Apache-2.0
# Disks in memory for SQLite; also used by unit and fault tests.
add_library(tz_memvfs STATIC sim/memvfs.c sim/memdisk.c)
target_include_directories(tz_memvfs PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/sim)
target_link_libraries(tz_memvfs PUBLIC tz_sqlite PRIVATE tz_common)

# The simulator. tz_sim runs seeds; the halves let ctest -j2 use two cores.
add_executable(tz_sim
  sim/main.c
  sim/shrink.c
  sim/stored.c
  sim/sim.c
  sim/sim_rng.c
  sim/sim_setup.c
  sim/sim_net.c
  sim/sim_server.c
  sim/sim_client.c
  sim/sim_saves.c
  sim/sim_copies.c
  sim/sim_catalogues.c
  sim/sim_raw.c
  sim/sim_users.c
  sim/sim_values.c
  sim/sim_screen.c
  sim/sim_faults.c
  sim/sim_damage.c
  sim/sim_purge.c
  sim/sim_compact.c
  sim/sim_grants.c
  sim/sim_restore.c
  sim/sim_feed.c
  sim/sim_check.c
  sim/sim_check_end.c
  sim/sim_history.c
  sim/sim_refs.c
  sim/sim_ledger.c
  sim/sim_permute.c
  sim/oracle.c
  sim/oracle_index.c
  sim/oracle_copy.c
  sim/oracle_op.c
  sim/oracle_elements.c
  sim/oracle_resolve.c
  sim/oracle_late.c
  sim/oracle_merge.c
  sim/oracle_claims.c
  sim/oracle_pair.c
  sim/oracle_purge.c
  sim/oracle_event.c)
target_link_libraries(tz_sim PRIVATE server_core client_lib tz_memvfs PkgConfig::JANSSON tz_common)
target_compile_definitions(tz_sim PRIVATE TZ_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
# Parts, so that ctest -j2 uses two cores.
if(TZ_SANITIZE OR TZ_TSAN)
  set(tz_sim_parts 1-150 151-300)
  set(tz_sim_mode_seeds 1-30)
else()
  set(tz_sim_parts 1-1250 1251-2500 2501-3750 3751-5000)
  set(tz_sim_mode_seeds 1-300)
endif()
foreach(part ${tz_sim_parts})
  add_test(NAME sim_seeds_${part} COMMAND tz_sim --seeds ${part} --keep ${CMAKE_CURRENT_BINARY_DIR}/kept)
  set_tests_properties(sim_seeds_${part} PROPERTIES LABELS sim TIMEOUT 900 FIXTURES_SETUP sim_kept)
endforeach()
# For tests/run.sh --long: as many seeds again, and one large world. Only with ctest -C Long.
foreach(part 5001-7500 7501-10000)
  add_test(NAME sim_seeds_${part} CONFIGURATIONS Long COMMAND tz_sim --seeds ${part})
  set_tests_properties(sim_seeds_${part} PROPERTIES LABELS sim TIMEOUT 1800)
endforeach()
add_test(NAME sim_large_world CONFIGURATIONS Long COMMAND tz_sim --seed 4 --clients 40 --ops 50000)
set_tests_properties(sim_large_world PROPERTIES LABELS sim TIMEOUT 7200 COST 10000)
# What the kept seeds left on their disks, compared by a tool that shares no code with the product.
find_program(TZ_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(TZ_PYTHON)
  add_test(NAME sim_kept_data
    COMMAND ${TZ_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/e2e/compare_data.py --tree ${CMAKE_CURRENT_BINARY_DIR}/kept)
  set_tests_properties(sim_kept_data PROPERTIES LABELS sim TIMEOUT 300 FIXTURES_REQUIRED sim_kept)
endif()
foreach(mode safety liveness)
  add_test(NAME sim_${mode} COMMAND tz_sim --${mode} --seeds ${tz_sim_mode_seeds})
endforeach()
add_test(NAME sim_permutation COMMAND tz_sim --permute --seeds 1-200)
add_test(NAME sim_same_hash
  COMMAND ${CMAKE_COMMAND} -DSIM=$<TARGET_FILE:tz_sim> -P ${CMAKE_CURRENT_SOURCE_DIR}/sim/same_hash.cmake)
add_test(NAME sim_regressions COMMAND tz_sim --stored ${CMAKE_CURRENT_SOURCE_DIR}/sim/seeds/regressions.txt)
set_tests_properties(sim_safety sim_liveness sim_permutation sim_same_hash sim_regressions
  PROPERTIES LABELS sim TIMEOUT 300)
if(TZ_PLANTED_BUGS)
  add_test(NAME sim_planted COMMAND tz_sim --stored ${CMAKE_CURRENT_SOURCE_DIR}/sim/seeds/planted.txt --cpu 10)
  set_tests_properties(sim_planted PROPERTIES LABELS sim TIMEOUT 600)
endif()
tz_test(NAME test_oracle LABEL sim SOURCES sim/test_oracle.c sim/oracle.c sim/oracle_index.c sim/oracle_copy.c sim/oracle_op.c sim/oracle_elements.c sim/oracle_resolve.c sim/oracle_late.c sim/oracle_merge.c sim/oracle_claims.c sim/oracle_pair.c sim/oracle_purge.c sim/oracle_event.c sim/sim_setup.c sim/sim_rng.c
  LINK server_core client_lib tz_memvfs)
