# SPDX-License-Identifier: Apache-2.0
add_test(NAME headers_layers COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/headers/check_layers.py ${PROJECT_SOURCE_DIR})
set(header_dirs "")
foreach(target tz_core tz_crypto tz_net tz_db tz_proto server_core client_lib)
  list(APPEND header_dirs $<TARGET_PROPERTY:${target},INTERFACE_INCLUDE_DIRECTORIES>)
endforeach()
add_test(NAME headers_alone COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/headers/check_alone.sh ${PROJECT_SOURCE_DIR} ${CMAKE_C_COMPILER}
         ${header_dirs} ${LIBUV_INCLUDE_DIRS} ${JANSSON_INCLUDE_DIRS} COMMAND_EXPAND_LISTS)
add_test(NAME headers_deps COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/headers/check_deps.py ${PROJECT_SOURCE_DIR} ${CMAKE_BINARY_DIR})
add_test(NAME headers_promises COMMAND ${PROJECT_SOURCE_DIR}/tests/mutants.sh --names)
set_tests_properties(headers_promises PROPERTIES LABELS headers TIMEOUT 30)
set_tests_properties(headers_layers headers_alone headers_deps PROPERTIES LABELS headers TIMEOUT 120)
