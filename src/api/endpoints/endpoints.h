// The endpoints: one file each, one row each in kEndpoints (registry.cpp). Internal to api/.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/keys.h"
#include "api/metrics.h"
#include "api/service.h"
#include "api/static_assets.h"
#include "base/clock.h"
#include "net/router.h"

namespace concerto::api {

// What endpoints work with. Lives as long as the server.
struct Context {
  Service* service;
  std::shared_ptr<Metrics> metrics;  // sessions may outlive the server by an event
  const base::Clock* clock;
  const StaticAssets* assets;
  std::function<int()> connections;
};

using EndpointFunction = void (*)(const Context&, net::HttpRequest&&, net::Writer);

struct Endpoint {
  std::string_view method;
  std::string_view pattern;
  Access access;
  net::RunOn run_on;
  EndpointFunction function;
};

const std::vector<Endpoint>& all_endpoints();

void chat_completions(const Context& context, net::HttpRequest&& request, net::Writer writer);
void list_models(const Context& context, net::HttpRequest&& request, net::Writer writer);
void retrieve_model(const Context& context, net::HttpRequest&& request, net::Writer writer);
void livez(const Context& context, net::HttpRequest&& request, net::Writer writer);
void readyz(const Context& context, net::HttpRequest&& request, net::Writer writer);
void show_metrics(const Context& context, net::HttpRequest&& request, net::Writer writer);
void show_case(const Context& context, net::HttpRequest&& request, net::Writer writer);
void answer_case(const Context& context, net::HttpRequest&& request, net::Writer writer);

// One route for each asset; not rows of the table, since the build decides which files there are.
void add_pages(const Context& context, net::Router* router);

// x-request-id: the client's own if it is one that logs can carry, else a new one.
std::string request_id_of(const net::HttpRequest& request);
// `prefix` and 24 random letters and digits.
std::string random_id(std::string_view prefix);
net::HttpResponse json_response(const net::HttpRequest& request, int status, std::string body);
// An error with the request's id.
net::HttpResponse error_for(const net::HttpRequest& request, const base::Error& error, std::string_view code = {});
// kInvalidArgument-like refusal of bodies that aren't JSON by their own account (415), nullopt when fine.
std::optional<net::HttpResponse> refuse_body_type(const net::HttpRequest& request);

}  // namespace concerto::api
