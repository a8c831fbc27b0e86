# SPDX-License-Identifier: Apache-2.0
# The same seeds in two processes give the same trace hashes.
foreach(seed 1 2 3 17 40)
  foreach(run a b)
    execute_process(COMMAND ${SIM} --seed ${seed} OUTPUT_VARIABLE ${run} RESULT_VARIABLE rc ERROR_QUIET)
    if(NOT rc EQUAL 0)
      message(FATAL_ERROR "seed ${seed}: ${${run}}")
    endif()
  endforeach()
  if(NOT a STREQUAL b OR NOT a MATCHES "hash [0-9a-f]+")
    message(FATAL_ERROR "seed ${seed} differs between two processes: ${a} ${b}")
  endif()
  message(STATUS "${a}")
endforeach()
