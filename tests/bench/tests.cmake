# SPDX-License-Identifier: Apache-2.0
# Sizes, not times: they follow from the data. A year of work wants full speed, so a build with sanitizers leaves it out.
if(NOT TZ_SANITIZE AND NOT TZ_TSAN)
  tz_test(NAME bench_stamps LABEL sim TIMEOUT 300 SOURCES bench/bench_stamps.c LINK tz_store_fixture)
endif()

# Built by tests/bench/run.sh at full speed; nothing is timed in a test.
if(TZ_BENCH)
  add_executable(tz-bench bench/bench_main.c bench/bench.c bench/bench_rows.c bench/bench_programs.c bench/bench_table.c bench/bench_data.c
    bench/bench_live.c bench/bench_bare.c bench/bench_socket.c)
  target_link_libraries(tz-bench PRIVATE client_net tz_core tz_db tz_sqlite tz_common PkgConfig::JANSSON PkgConfig::LIBUV
    OpenSSL::SSL Threads::Threads)
  target_compile_definitions(tz-bench PRIVATE TZ_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endif()
