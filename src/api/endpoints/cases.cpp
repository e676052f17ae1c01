// GET /v1/cases/{id}: the state of a case; POST /v1/cases/{id}/answer: a person's answer (admin key).
#include "api/endpoints/endpoints.h"
#include "api/wire/responses.h"

namespace concerto::api {

void show_case(const Context& context, net::HttpRequest&& request, net::Writer writer) {
  const auto info = context.service->find_case(request.params.at(0));
  writer->send(info ? json_response(request, 200, case_body(*info)) : error_for(request, info.error()));
}

void answer_case(const Context& context, net::HttpRequest&& request, net::Writer writer) {
  if (auto refusal = refuse_body_type(request)) {
    writer->send(*refusal);
    return;
  }
  const auto answer = parse_case_answer(request.body);
  if (!answer) {
    writer->send(error_for(request, answer.error()));
    return;
  }
  const auto info = context.service->answer_case(request.params.at(0), *answer);
  writer->send(info ? json_response(request, 200, case_body(*info)) : error_for(request, info.error()));
}

}  // namespace concerto::api
