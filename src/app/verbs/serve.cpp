// concerto serve: the server, from concerto.toml.
//
// Signals are blocked before any thread starts and waited for here: SIGTERM and SIGINT drain, a second one ends at
// once.
#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <thread>

#include "api/server.h"
#include "app/config.h"
#include "app/paths.h"
#include "app/product.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "base/log.h"
#include "web/assets.h"

namespace concerto::app {
namespace {

struct Arguments {
  Overrides overrides;
  bool check = false;
  std::string speculation;
};

constexpr int kPollMs = 100;

class Signals {
 public:
  Signals() {
    std::signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  // True when one arrived within kPollMs.
  bool wait() const {
    const timespec time{0, kPollMs * 1'000'000L};
    return sigtimedwait(&set_, nullptr, &time) > 0;
  }

 private:
  sigset_t set_{};
};

base::Result<api::ApiOptions> api_options(const Config& config) {
  api::ApiOptions options;
  options.bind = config.server.bind;
  options.port = static_cast<uint16_t>(config.server.port);
  options.worker_threads = config.server.worker_threads;
  options.limits.connections = config.server.max_connections;
  options.limits.body_bytes = static_cast<size_t>(config.server.max_body_mb) << 20;
  options.allowed_hosts = config.server.allowed_hosts;
  options.allowed_origins = config.server.allowed_origins;
  TRY(options.api_keys, read_keys(config.server.api_keys_file, "CONCERTO_API_KEY"));
  TRY(options.admin_keys, read_keys(config.server.admin_keys_file, "CONCERTO_ADMIN_KEY"));
  // A file that was named to lock the server must not leave it open because it is empty.
  for (const auto& [file, keys] : {std::pair{&config.server.api_keys_file, &options.api_keys},
                                   std::pair{&config.server.admin_keys_file, &options.admin_keys}}) {
    if (!file->empty() && keys->empty()) {
      return base::fail(base::Code::kInvalidArgument, fmt::format("{}: expected at least one key, found none", *file));
    }
  }
  options.assets = web::assets();
  TRY_STATUS(api::validate(options));
  return options;
}

std::string address_of(const Config& config, uint16_t port) {
  std::string host = config.server.bind;
  if (host == "0.0.0.0" || host == "::") host = "localhost";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return fmt::format("http://{}:{}/", host, port);
}

void announce(const Product& product, const std::string& address, bool has_page) {
  const EngineMemory memory = product.memory();
  const double machine = static_cast<double>(::sysconf(_SC_PAGESIZE)) * static_cast<double>(::sysconf(_SC_PHYS_PAGES));
  if (memory.weights > 0) {
    print_note(fmt::format("memory: {} of weights + up to {} of conversations + {} of work = {} of this machine's {}",
                           format_bytes(static_cast<double>(memory.weights)),
                           format_bytes(static_cast<double>(memory.kv)),
                           format_bytes(static_cast<double>(memory.working)),
                           format_bytes(static_cast<double>(memory.all())), format_bytes(machine)));
  }
  write_out(fmt::format("Ready. {}: {}\n", has_page ? "Chat page" : "API", address));
}

// The second signal ends the program at once: what was acknowledged is on the disk, and nothing else needs an end.
[[noreturn]] void end_now() {
  print_note("second signal: ending now");
  std::_Exit(kFailure);
}

void drain(const Signals& signals, api::ApiServer* server, Product* product, int drain_ms) {
  print_note(fmt::format("draining: answers under way may take {} s more; a second signal ends now", drain_ms / 1000));
  product->drain();
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    server->stop(drain_ms);
    stopped = true;
  });
  while (!stopped) {
    if (signals.wait()) end_now();
  }
  stopper.join();
}

int fail_with(const base::Error& error) {
  print_error(error);
  return kFailure;
}

int run(const Arguments& arguments) {
  const Signals signals;
  Overrides overrides = arguments.overrides;
  if (!arguments.speculation.empty()) overrides.speculation = engine::speculation_named(arguments.speculation);
  const auto config = load_config(overrides);
  if (!config) return fail_with(config.error());
  auto options = api_options(*config);
  if (!options) return fail_with(options.error());
  for (const TierConfig& tier : config->tiers) {
    if (const auto fine = check_tier(tier); !fine) return fail_with(fine.error());
  }
  if (arguments.check) {
    print_note(fmt::format("{}: fine", config->file));
    return kOk;
  }
  const bool has_page = !options->assets.empty();
  auto product = Product::create(*config);
  if (!product) return fail_with(product.error());
  auto server = api::ApiServer::start(std::move(*options), product->get());
  if (!server) return fail_with(server.error());
  (*product)->load();
  const std::string address = address_of(*config, (*server)->port());
  print_note(fmt::format("{}; listening on {}, loading models", config->file, address));

  bool ready = false;
  for (;;) {
    if (signals.wait()) break;
    if (ready) continue;
    const auto loaded = (*product)->wait_loaded(0);
    if (!loaded) continue;
    if (!*loaded) {
      (*server)->stop(0);
      return fail_with(loaded->error());
    }
    ready = true;
    announce(**product, address, has_page);
  }
  drain(signals, server->get(), product->get(), config->server.drain_ms);
  server->reset();
  // Half a model can't be stopped from loading, but there is nobody left to load it for.
  if (!ready) std::_Exit(kOk);
  product->reset();
  return kOk;
}

}  // namespace

Verb serve_verb() {
  const auto arguments = std::make_shared<Arguments>();
  return {"serve", "Start the server: chat page, OpenAI-compatible API, cascade, desk",
          [arguments](Flags& flags) {
            Overrides& over = arguments->overrides;
            flags
                .text("-c,--config", &over.config, "FILE",
                      "the configuration (default: ./concerto.toml, else the one of the config folder)")
                .text("-b,--bind", &over.bind, "ADDRESS",
                      "where to listen; another address than a loopback one needs API keys")
                .integer("-p,--port", &over.port, 0, 65535, "0: any free one")
                .integer("-t,--threads", &over.threads, 1, 1024, "of each local model (default: all cores)")
                .choice("--speculation", &arguments->speculation, {"off", "lookup", "auto"},
                        "of each local model: where guesses of the next tokens come from")
                .integer("--memory", &over.memory_mb, 1, kMaxMemoryMb,
                         "megabytes that the server may hold (default: nine tenths of what is free)")
                .number("--itl-target", &over.itl_target, kMinItlTargetMs, kMaxItlTargetMs,
                        "milliseconds that a new prompt may hold up running answers (default: 200)")
                .number("--threshold", &over.threshold, 0, 1, "confidence below which a tier passes a request on")
                .flag("--check-config", &arguments->check, "only check the configuration")
                .footer(
                    "SIGTERM or Ctrl-C lets answers under way end; a second one ends at once.\n"
                    "GET /livez answers at once, GET /readyz when the models are loaded.\n"
                    "Keys may also come from CONCERTO_API_KEY and CONCERTO_ADMIN_KEY.");
          },
          [arguments] { return run(*arguments); }};
}

}  // namespace concerto::app
