# Toolchain file: 64-bit Arm Linux, with Debian's cross compiler (g++-aarch64-linux-gnu) and emulator (qemu-user-static).
# The libraries that the engine's lower folders use are taken as headers or built from source (cmake/aarch64/Find*), so
# that no Arm package is needed beside the compiler's own.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# The emulator finds the C and C++ libraries of the programs it runs here.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L /usr/aarch64-linux-gnu -cpu max)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR}/aarch64)
