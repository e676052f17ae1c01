// Paths: where Concerto keeps things, by the XDG base directory rules.
#pragma once

#include <string>
#include <string_view>

namespace concerto::app {

std::string config_folder();  // $XDG_CONFIG_HOME/concerto, or ~/.config/concerto
std::string data_folder();    // $XDG_DATA_HOME/concerto, or ~/.local/share/concerto
std::string models_folder();  // $CONCERTO_MODELS, or $XDG_CACHE_HOME/concerto/models, or ~/.cache/concerto/models

// "~" and "~/x" by $HOME; anything else that isn't absolute is relative to `base`.
std::string resolve_path(std::string_view path, std::string_view base);

// The home folder as "~" again, for files and messages that people read.
std::string shorten_path(std::string_view path);

// The value of an environment variable; empty when it is unset.
std::string environment(const char* name);

}  // namespace concerto::app
