#include <algorithm>
#include <cctype>
#include <random>

#include "api/endpoints/endpoints.h"
#include "api/error_map.h"

namespace concerto::api {

using net::RunOn;

const std::vector<Endpoint>& all_endpoints() {
  static const std::vector<Endpoint> all = {
      {"POST", "/v1/chat/completions", Access::kUser, RunOn::kWorker, chat_completions},
      {"POST", "/chat/completions", Access::kUser, RunOn::kWorker, chat_completions},
      {"GET", "/v1/models", Access::kUser, RunOn::kWorker, list_models},
      {"GET", "/models", Access::kUser, RunOn::kWorker, list_models},
      {"GET", "/v1/models/{id*}", Access::kUser, RunOn::kWorker, retrieve_model},
      {"GET", "/livez", Access::kPublic, RunOn::kNetwork, livez},
      {"GET", "/readyz", Access::kPublic, RunOn::kWorker, readyz},
      {"GET", "/health", Access::kPublic, RunOn::kWorker, readyz},
      {"GET", "/metrics", Access::kUser, RunOn::kWorker, show_metrics},
      {"GET", "/v1/cases/{id}", Access::kUser, RunOn::kWorker, show_case},
      {"POST", "/v1/cases/{id}/answer", Access::kAdmin, RunOn::kWorker, answer_case},
  };
  return all;
}

std::string random_id(std::string_view prefix) {
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  // From the system each time: ids of cases and requests must not be guessable from earlier ones.
  thread_local std::random_device device;
  std::uniform_int_distribution<size_t> pick(0, kLetters.size() - 1);
  std::string id(prefix);
  for (int i = 0; i < 24; ++i) id.push_back(kLetters[pick(device)]);
  return id;
}

std::string request_id_of(const net::HttpRequest& request) {
  const std::string* given = request.headers.find("X-Request-Id");
  const auto good = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == ':';
  };
  if (given != nullptr && !given->empty() && given->size() <= 128 && std::all_of(given->begin(), given->end(), good)) {
    return *given;
  }
  return random_id("req-");
}

net::HttpResponse json_response(const net::HttpRequest& request, int status, std::string body) {
  return {status,
          {{"Content-Type", "application/json"},
           {"Cache-Control", "no-store"},
           {"X-Content-Type-Options", "nosniff"},
           {"X-Request-Id", request_id_of(request)}},
          std::move(body)};
}

net::HttpResponse error_for(const net::HttpRequest& request, const base::Error& error, std::string_view code) {
  net::HttpResponse response = error_response(error, code);
  response.headers.set("X-Request-Id", request_id_of(request));
  return response;
}

std::optional<net::HttpResponse> refuse_body_type(const net::HttpRequest& request) {
  const auto refuse = [&](std::string_view message) {
    net::HttpResponse response = error_response(415, "unsupported_media_type", message);
    response.headers.set("X-Request-Id", request_id_of(request));
    return response;
  };
  if (const std::string* coding = request.headers.find("Content-Encoding")) {
    if (!net::equals_ignoring_case(*coding, "identity")) {
      return refuse("Content-Encoding: expected none, found a compressed body");
    }
  }
  // Any other type is one that a foreign page may send without asking first.
  const std::string* type = request.headers.find("Content-Type");
  std::string_view media = type == nullptr ? std::string_view{} : std::string_view(*type);
  media = media.substr(0, media.find(';'));
  while (media.ends_with(' ')) media.remove_suffix(1);
  if (!net::equals_ignoring_case(media, "application/json")) {
    return refuse("Content-Type: expected application/json (with curl: -H 'Content-Type: application/json')");
  }
  return std::nullopt;
}

}  // namespace concerto::api
