// GET /v1/models and /v1/models/{id}: the cascade and its tiers.
#include <fmt/format.h>

#include "api/endpoints/endpoints.h"
#include "api/wire/responses.h"

namespace concerto::api {

void list_models(const Context& context, net::HttpRequest&& request, net::Writer writer) {
  writer->send(json_response(request, 200, models_body(context.service->models())));
}

void retrieve_model(const Context& context, net::HttpRequest&& request, net::Writer writer) {
  const std::string& id = request.params.at(0);
  std::string known;
  for (const ModelInfo& model : context.service->models()) {
    if (model.id == id) {
      writer->send(json_response(request, 200, model_body(model)));
      return;
    }
    known += (known.empty() ? "" : ", ") + model.id;
  }
  writer->send(error_for(
      request, {base::Code::kNotFound, fmt::format("model: expected one of {}, found '{}'", known, id), "model"},
      "model_not_found"));
}

}  // namespace concerto::api
