// Flags: the command line of one verb. Keeps the parser library out of the verbs.
//
// A verb declares its flags and arguments with the variables they fill; they must outlive the parse.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace concerto::app {

class Flags {
 public:
  explicit Flags(CLI::App* app) : app_(app) {}

  // names: "-t,--threads". An optional that is not given stays empty.
  Flags& text(const char* names, std::optional<std::string>* out, const char* type, const char* help);
  Flags& text(const char* names, std::string* out, const char* type, const char* help);
  // A flag that must be given.
  Flags& needed(const char* names, std::string* out, const char* type, const char* help);
  Flags& integer(const char* names, std::optional<int>* out, int low, int high, const char* help);
  Flags& integer(const char* names, int* out, int low, int high, const char* help);
  Flags& number(const char* names, std::optional<double>* out, double low, double high, const char* help);
  Flags& number(const char* names, double* out, double low, double high, const char* help);
  Flags& flag(const char* names, bool* out, const char* help);
  Flags& choice(const char* names, std::string* out, std::vector<std::string> values, const char* help);
  // Arguments without a name, in the order of their declaration.
  Flags& required(const char* name, std::string* out, const char* help);
  Flags& optional(const char* name, std::optional<std::string>* out, const char* help);
  Flags& rest(const char* name, std::vector<std::string>* out, const char* help);
  // Printed below the help.
  Flags& footer(const char* text);

 private:
  CLI::App* app_;
};

}  // namespace concerto::app
