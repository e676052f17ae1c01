// Forced inlining for the vector kernels: it keeps tiles in registers, and leaves no copy that the linker could merge
// with another ISA's.
#pragma once

#define CONCERTO_FORCE_INLINE inline __attribute__((always_inline))
