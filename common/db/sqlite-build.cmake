# SPDX-License-Identifier: Apache-2.0
#
# Run by sqlite.cmake at build time: put the SQLite archive into the build tree, compiling it into the shared cache first when
# it is not there. The cache has one lock, so two build trees do not compile the same thing at once; the archive appears by
# rename, so a killed build leaves no half of it.

cmake_path(GET CACHED PARENT_PATH cache_folder)
file(MAKE_DIRECTORY "${cache_folder}")
file(LOCK "${cache_folder}/lock" TIMEOUT 900 RESULT_VARIABLE locked)
if(NOT locked EQUAL 0)
  message(FATAL_ERROR "cannot lock ${cache_folder}: ${locked}")
endif()

if(NOT EXISTS "${CACHED}")
  file(SHA256 "${SOURCE}" found)
  if(NOT found STREQUAL SOURCE_SHA256)
    message(FATAL_ERROR "${SOURCE} is not the pinned source; remove its folder and run deploy/install-deps.sh")
  endif()
  separate_arguments(flags UNIX_COMMAND "${FLAGS}")
  execute_process(COMMAND "${COMPILER}" ${flags} -c "${SOURCE}" -o "${cache_folder}/new.o" COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE "${cache_folder}/new.a")
  execute_process(COMMAND "${ARCHIVER}" rcs "${cache_folder}/new.a" "${cache_folder}/new.o" COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE "${cache_folder}/new.o")
  file(RENAME "${cache_folder}/new.a" "${CACHED}")
endif()

execute_process(COMMAND "${CMAKE_COMMAND}" -E copy "${CACHED}" "${LIBRARY}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CMAKE_COMMAND}" -E touch "${LIBRARY}" COMMAND_ERROR_IS_FATAL ANY)
