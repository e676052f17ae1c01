// GET /metrics, in Prometheus' text format.
#include "api/metrics.h"

#include "api/endpoints/endpoints.h"

namespace concerto::api {

void show_metrics(const Context& context, net::HttpRequest&&, net::Writer writer) {
  writer->send({200,
                {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}, {"Cache-Control", "no-store"}},
                context.metrics->render(*context.service, context.connections())});
}

}  // namespace concerto::api
