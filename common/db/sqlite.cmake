# SPDX-License-Identifier: Apache-2.0
#
# The target tz_sqlite: SQLite, pinned and compiled once per compiler, or the system's on request.
#
# The source is the SQLite3 Multiple Ciphers amalgamation (SQLite 3.53.4), unpacked by deploy/install-deps.sh into
#   ${TZ_DEPS_DIR}/sqlite3mc-2.4.0/            TZ_DEPS_DIR: cache variable, else environment, else ~/.cache/taizhang
# The compiled archive is kept beside it, under a key made of compiler and flags, so that all build trees and presets share one
# compilation (about half a minute). It is never instrumented: sanitizer builds test our code, and SQLite has its own tests.
# Configuring never uses the network.

if(TZ_SYSTEM_SQLITE)
  pkg_check_modules(TZ_SYSTEM_SQLITE3 REQUIRED IMPORTED_TARGET GLOBAL sqlite3)
  if(TZ_SYSTEM_SQLITE3_VERSION VERSION_LESS 3.51.3)
    if(NOT TZ_ALLOW_OLD_SQLITE)
      message(FATAL_ERROR "The system's SQLite is ${TZ_SYSTEM_SQLITE3_VERSION}; before 3.51.3 a WAL reset can corrupt the "
        "database. Build without TZ_SYSTEM_SQLITE, or accept the risk with -DTZ_ALLOW_OLD_SQLITE=ON.")
    endif()
    message(WARNING "SQLite ${TZ_SYSTEM_SQLITE3_VERSION} has the WAL-reset defect (fixed in 3.51.3)")
  endif()
  add_library(tz_sqlite INTERFACE IMPORTED GLOBAL)
  set_target_properties(tz_sqlite PROPERTIES INTERFACE_LINK_LIBRARIES PkgConfig::TZ_SYSTEM_SQLITE3)
  return()
endif()

if(NOT TZ_DEPS_DIR)
  if(DEFINED ENV{TZ_DEPS_DIR} AND NOT "$ENV{TZ_DEPS_DIR}" STREQUAL "")
    set(tz_deps_default "$ENV{TZ_DEPS_DIR}")
  elseif(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(tz_deps_default "$ENV{XDG_CACHE_HOME}/taizhang")
  else()
    set(tz_deps_default "$ENV{HOME}/.cache/taizhang")
  endif()
  set(TZ_DEPS_DIR "${tz_deps_default}" CACHE PATH "Where deploy/install-deps.sh unpacks the pinned SQLite source" FORCE)
endif()
set(tz_sqlite_source "${TZ_DEPS_DIR}/sqlite3mc-2.4.0")
# sqlite3.c of that release; checked before it is compiled.
set(tz_sqlite_sha256 ad84d2c24540cf62ea27ee414911a32963390769bd031f39a50aec0ad90614a0)
if(NOT EXISTS "${tz_sqlite_source}/sqlite3.c" OR NOT EXISTS "${tz_sqlite_source}/sqlite3.h")
  message(FATAL_ERROR "The pinned SQLite source is not in ${tz_sqlite_source}. Run deploy/install-deps.sh first, "
    "or use the system's SQLite with -DTZ_SYSTEM_SQLITE=ON.")
endif()

# Multi-thread mode: a connection belongs to one thread at a time, so its mutexes would only cost. One cipher (the default of
# the amalgamation, portable C) stays in for encryption at rest; without the AES ones no special CPU instruction is needed.
set(tz_sqlite_flags
  -O2 -g0 -fPIC -w
  -DSQLITE_THREADSAFE=2
  -DSQLITE_DQS=0
  -DSQLITE_DEFAULT_FOREIGN_KEYS=1
  -DSQLITE_DEFAULT_MEMSTATUS=0
  -DSQLITE_TEMP_STORE=2
  -DSQLITE_USE_URI=0
  -DSQLITE_ENABLE_COLUMN_METADATA
  -DSQLITE_ENABLE_DBSTAT_VTAB
  -DSQLITE_ENABLE_FTS5
  -DSQLITE_LIKE_DOESNT_MATCH_BLOBS
  -DSQLITE_OMIT_DEPRECATED
  -DSQLITE_OMIT_LOAD_EXTENSION
  -DSQLITE_OMIT_SHARED_CACHE
  -DHAVE_FDATASYNC=1 -DHAVE_GMTIME_R=1 -DHAVE_LOCALTIME_R=1 -DHAVE_USLEEP=1
  -DCODEC_TYPE=CODEC_TYPE_CHACHA20
  -DHAVE_CIPHER_AEGIS=0 -DHAVE_CIPHER_AES_128_CBC=0 -DHAVE_CIPHER_AES_256_CBC=0 -DHAVE_CIPHER_ASCON128=0
  -DHAVE_CIPHER_RC4=0 -DHAVE_CIPHER_SQLCIPHER=0 -DHAVE_CIPHER_CHACHA20=1)

string(SHA256 tz_sqlite_key
  "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} ${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR} ${tz_sqlite_sha256} ${tz_sqlite_flags}")
string(SUBSTRING "${tz_sqlite_key}" 0 16 tz_sqlite_key)
set(tz_sqlite_library "${CMAKE_CURRENT_BINARY_DIR}/libtz_sqlite.a")
string(REPLACE ";" " " tz_sqlite_flags_line "${tz_sqlite_flags}")

# The tree holds a copy, so that cleaning one tree does not take the archive from the others.
add_custom_command(OUTPUT "${tz_sqlite_library}"
  COMMAND ${CMAKE_COMMAND}
    "-DSOURCE=${tz_sqlite_source}/sqlite3.c" -DSOURCE_SHA256=${tz_sqlite_sha256}
    "-DCACHED=${TZ_DEPS_DIR}/built/${tz_sqlite_key}/libtz_sqlite.a" "-DLIBRARY=${tz_sqlite_library}"
    "-DCOMPILER=${CMAKE_C_COMPILER}" "-DARCHIVER=${CMAKE_AR}" "-DFLAGS=${tz_sqlite_flags_line}"
    -P "${CMAKE_CURRENT_LIST_DIR}/sqlite-build.cmake"
  DEPENDS "${CMAKE_CURRENT_LIST_DIR}/sqlite-build.cmake" "${tz_sqlite_source}/sqlite3.c"
  COMMENT "SQLite 3.53.4 (about half a minute when it is not in the cache yet)"
  VERBATIM)
add_custom_target(tz_sqlite_build DEPENDS "${tz_sqlite_library}")

add_library(tz_sqlite STATIC IMPORTED GLOBAL)
set_target_properties(tz_sqlite PROPERTIES
  IMPORTED_LOCATION "${tz_sqlite_library}"
  INTERFACE_INCLUDE_DIRECTORIES "${tz_sqlite_source}"
  INTERFACE_LINK_LIBRARIES "Threads::Threads;m")
add_dependencies(tz_sqlite tz_sqlite_build)
