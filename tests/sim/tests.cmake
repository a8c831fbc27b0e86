# SPDX-License-Identifier: Apache-2.0
# Disks in memory for SQLite; also used by unit and fault tests.
add_library(tz_memvfs STATIC sim/memvfs.c sim/memdisk.c)
target_include_directories(tz_memvfs PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/sim)
target_link_libraries(tz_memvfs PUBLIC tz_sqlite PRIVATE tz_common)

# The simulator. tz_sim runs seeds; the halves let ctest -j2 use two cores.
add_executable(tz_sim
  sim/main.c
  sim/sim.c
  sim/sim_rng.c
  sim/sim_setup.c
  sim/sim_net.c
  sim/sim_server.c
  sim/sim_client.c
  sim/sim_raw.c
  sim/sim_users.c
  sim/sim_damage.c
  sim/sim_check.c
  sim/sim_check_end.c
  sim/sim_history.c
  sim/sim_refs.c
  sim/sim_permute.c
  sim/oracle.c
  sim/oracle_op.c
  sim/oracle_merge.c
  sim/oracle_claims.c)
target_link_libraries(tz_sim PRIVATE server_core client_lib tz_memvfs PkgConfig::JANSSON tz_common)
target_compile_definitions(tz_sim PRIVATE TZ_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
if(TZ_SANITIZE OR TZ_TSAN)
  set(tz_sim_halves 1-150 151-300)
else()
  set(tz_sim_halves 1-1000 1001-2000)
endif()
foreach(half ${tz_sim_halves})
  add_test(NAME sim_seeds_${half} COMMAND tz_sim --seeds ${half})
  set_tests_properties(sim_seeds_${half} PROPERTIES LABELS sim TIMEOUT 900)
endforeach()
add_test(NAME sim_permutation COMMAND tz_sim --permute --seeds 1-200)
add_test(NAME sim_same_hash
  COMMAND ${CMAKE_COMMAND} -DSIM=$<TARGET_FILE:tz_sim> -P ${CMAKE_CURRENT_SOURCE_DIR}/sim/same_hash.cmake)
set_tests_properties(sim_permutation sim_same_hash PROPERTIES LABELS sim TIMEOUT 120)
if(TZ_PLANTED_BUGS)
  file(STRINGS ${PROJECT_SOURCE_DIR}/common/core/planted.h planted REGEX "TZ_PLANTED_MAX = [0-9]+")
  string(REGEX MATCH "[0-9]+" planted "${planted}")
  foreach(bug RANGE 1 ${planted})
    add_test(NAME sim_planted_${bug} COMMAND tz_sim --planted ${bug} --expect-found --seeds 1-500)
    set_tests_properties(sim_planted_${bug} PROPERTIES LABELS sim TIMEOUT 900)
  endforeach()
endif()
tz_test(NAME test_oracle LABEL sim SOURCES sim/test_oracle.c sim/oracle.c sim/oracle_op.c sim/oracle_merge.c sim/oracle_claims.c sim/sim_setup.c sim/sim_rng.c
  LINK server_core client_lib tz_memvfs)
