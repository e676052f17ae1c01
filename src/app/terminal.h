// Terminal: how the program talks to a person. Results go to stdout, everything else to stderr.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace concerto::app {

// True when the stream is a terminal that wants colours: NO_COLOR is unset or empty, TERM isn't "dumb".
bool colours_on_stdout();
bool colours_on_stderr();
bool stdin_is_terminal();
bool stdout_is_terminal();

// "concerto: error: ..." on stderr.
void print_error(std::string_view message);
void print_error(const base::Error& error);
// "concerto: ..." on stderr.
void print_note(std::string_view message);

// Writes to stdout at once. false when nobody reads any more (a closed pipe).
bool write_out(std::string_view text);

// "1.46 GB" (10^9), "98.4 MB".
std::string format_bytes(double bytes);

}  // namespace concerto::app
