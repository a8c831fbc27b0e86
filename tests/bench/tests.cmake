# SPDX-License-Identifier: Apache-2.0
# Sizes, not times: they follow from the data. A year of work wants full speed, so a build with sanitizers leaves it out.
if(NOT TZ_SANITIZE AND NOT TZ_TSAN)
  tz_test(NAME bench_stamps LABEL sim TIMEOUT 300 SOURCES bench/bench_stamps.c LINK tz_store_fixture)
endif()
