// GET /livez: the process answers. GET /readyz and /health: it can serve requests (model loaded, not draining).
#include "api/endpoints/endpoints.h"
#include "api/wire/responses.h"

namespace concerto::api {

// Tells nothing about the model: a busy or loading one must not get the process killed.
void livez(const Context&, net::HttpRequest&&, net::Writer writer) {
  writer->send({200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}}, R"({"status":"ok"})"});
}

void readyz(const Context& context, net::HttpRequest&& request, net::Writer writer) {
  const Readiness readiness = context.service->readiness();
  net::HttpResponse response =
      json_response(request, readiness.ready ? 200 : 503, health_body(readiness.ready, readiness.reason));
  if (!readiness.ready) response.headers.add("Retry-After", "1");
  writer->send(response);
}

}  // namespace concerto::api
