// Any bytes as a safetensors file: no crash, and whatever is taken keeps its promises (tests/formats/probe.h).
#include <cstddef>
#include <cstdint>

#include "formats/probe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  concerto::formats::test::probe_safetensors({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
