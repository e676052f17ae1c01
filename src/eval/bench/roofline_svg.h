// The roofline of one model as inline SVG: what ours and the best peer reach, below what memory and int8 units allow.
#pragma once

#include <string>
#include <string_view>

#include "eval/bench/results.h"

namespace concerto::eval {

// "" when no row has a roofline. Both axes are logarithmic: MACs a byte, and GMAC/s.
std::string roofline_svg(const ModelResults& model);

// &, <, >, ", ' as entities.
std::string escape_html(std::string_view text);

}  // namespace concerto::eval
