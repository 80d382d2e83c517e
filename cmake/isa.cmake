# Files of src/engine/cpu compiled for one instruction set each: cpu_isa_<name>.c.
set(isa_dir ${CMAKE_CURRENT_SOURCE_DIR}/engine/cpu)
# No contraction: the kernels fuse a multiply-add where they say so, never where the compiler likes, so
# that the same number comes out of every loop.
set(isa_common -O3 -ffp-contract=off -fno-math-errno)
set_source_files_properties(${isa_dir}/cpu_isa_portable.c PROPERTIES COMPILE_OPTIONS "${isa_common}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set_source_files_properties(${isa_dir}/cpu_isa_avx2.c PROPERTIES
    COMPILE_OPTIONS "${isa_common};-mavx2;-mfma;-mf16c")
  set_source_files_properties(${isa_dir}/cpu_isa_avx512.c PROPERTIES
    COMPILE_OPTIONS "${isa_common};-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mfma;-mf16c;-mprefer-vector-width=512")
  set_source_files_properties(${isa_dir}/cpu_isa_amx.c PROPERTIES
    COMPILE_OPTIONS "${isa_common};-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512bf16;-mfma;-mf16c;-mamx-tile;-mamx-bf16;-mprefer-vector-width=512")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set_source_files_properties(${isa_dir}/cpu_isa_neon.c PROPERTIES COMPILE_OPTIONS "${isa_common}")
endif()
