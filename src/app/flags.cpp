#include "app/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "app/nearest.h"
#include "app/terminal.h"
#include "app/verb.h"

namespace concerto::app {

Flags& Flags::text(const char* names, std::optional<std::string>* out, const char* type, const char* help) {
  app_->add_option(names, *out, help)->type_name(type);
  return *this;
}

Flags& Flags::text(const char* names, std::string* out, const char* type, const char* help) {
  app_->add_option(names, *out, help)->type_name(type)->capture_default_str();
  return *this;
}

Flags& Flags::needed(const char* names, std::string* out, const char* type, const char* help) {
  app_->add_option(names, *out, help)->type_name(type)->required();
  return *this;
}

Flags& Flags::integer(const char* names, std::optional<int>* out, int low, int high, const char* help) {
  app_->add_option(names, *out, help)->check(CLI::Range(low, high))->type_name("N");
  return *this;
}

Flags& Flags::integer(const char* names, int* out, int low, int high, const char* help) {
  app_->add_option(names, *out, help)->check(CLI::Range(low, high))->type_name("N")->capture_default_str();
  return *this;
}

Flags& Flags::number(const char* names, std::optional<double>* out, double low, double high, const char* help) {
  app_->add_option(names, *out, help)->check(CLI::Range(low, high))->type_name("X");
  return *this;
}

Flags& Flags::number(const char* names, double* out, double low, double high, const char* help) {
  app_->add_option(names, *out, help)->check(CLI::Range(low, high))->type_name("X")->capture_default_str();
  return *this;
}

Flags& Flags::flag(const char* names, bool* out, const char* help) {
  app_->add_flag(names, *out, help);
  return *this;
}

Flags& Flags::choice(const char* names, std::string* out, std::vector<std::string> values, const char* help) {
  app_->add_option(names, *out, help)->check(CLI::IsMember(std::move(values)));
  return *this;
}

Flags& Flags::required(const char* name, std::string* out, const char* help) {
  app_->add_option(name, *out, help)->required()->type_name("");
  return *this;
}

Flags& Flags::optional(const char* name, std::optional<std::string>* out, const char* help) {
  app_->add_option(name, *out, help)->type_name("");
  return *this;
}

Flags& Flags::rest(const char* name, std::vector<std::string>* out, const char* help) {
  app_->add_option(name, *out, help)->type_name("");
  return *this;
}

Flags& Flags::footer(const char* text) {
  app_->footer(text);
  return *this;
}

int run_program(int argc, const char* const* argv, const std::vector<Verb>& verbs) {
  CLI::App app(
      "Concerto runs small language models on this machine's processor, passes what they are unsure of to a bigger\n"
      "model, and what both fail to a person.",
      "concerto");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("concerto ") + CONCERTO_VERSION);
  app.footer("`concerto VERB --help` explains a verb. First steps: concerto init, concerto doctor, concerto serve.");
  std::vector<std::pair<CLI::App*, const Verb*>> rows;
  rows.reserve(verbs.size());
  for (const Verb& verb : verbs) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.help);
    Flags flags(sub);
    verb.declare(flags);
    rows.emplace_back(sub, &verb);
  }
  // The library would only say that a verb is required.
  if (argc > 1 && argv[1][0] != '-') {
    std::vector<std::string> names;
    names.reserve(rows.size());
    for (const auto& [sub, verb] : rows) names.emplace_back(verb->name);
    if (std::find(names.begin(), names.end(), argv[1]) == names.end()) {
      const std::string near = nearest(argv[1], names);
      print_error("unknown verb '" + std::string(argv[1]) + "'" +
                  (near.empty() ? "" : " (did you mean " + near + "?)") + "\nTry: concerto --help");
      return kUsage;
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& shown) {  // --help
    app.exit(shown, std::cout, std::cerr);
    return kOk;
  } catch (const CLI::ParseError& wrong) {
    std::string verb;
    for (const auto& [sub, row] : rows) {
      if (sub->parsed()) verb = std::string(" ") + row->name;
    }
    print_error(std::string(wrong.what()) + "\nTry: concerto" + verb + " --help");
    return kUsage;
  }
  for (const auto& [sub, verb] : rows) {
    if (sub->parsed()) return verb->run();
  }
  return kUsage;
}

}  // namespace concerto::app
