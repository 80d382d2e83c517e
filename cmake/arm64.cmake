# Cross compiles the kernels for 64-bit ARM Linux and runs their tests under qemu:
#   cmake -B build/arm64 -G Ninja -DDAPI_KERNELS_ONLY=ON -DCMAKE_TOOLCHAIN_FILE=cmake/arm64.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu")
