# SPDX-License-Identifier: Apache-2.0
tz_fuzz(NAME fuzz_frame SOURCES fuzz/fuzz_frame.c LINK tz_core)
tz_fuzz(NAME fuzz_codec SOURCES fuzz/fuzz_codec.c LINK tz_core)
tz_fuzz(NAME fuzz_msg SOURCES fuzz/fuzz_msg.c LINK tz_proto)
tz_fuzz(NAME fuzz_csv SOURCES fuzz/fuzz_csv.c LINK tz_core)
tz_fuzz(NAME fuzz_catalogue SOURCES fuzz/fuzz_catalogue.c LINK tz_core)
tz_fuzz(NAME fuzz_packed SOURCES fuzz/fuzz_packed.c LINK server_core)
tz_fuzz(NAME fuzz_value SOURCES fuzz/fuzz_value.c LINK tz_core)
