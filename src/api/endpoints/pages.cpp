// The web pages: files that the program carries, with an ETag each and a policy that lets them load nothing foreign.
#include "api/endpoints/endpoints.h"

namespace concerto::api {
namespace {

// Models write what the page shows: no script or style but our own files, no foreign image (it could carry text out),
// no frame. The page makes elements, never HTML from text, and trusted-types holds it to that: no policy may be made.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

bool accepts_gzip(const net::HttpRequest& request) {
  const std::string* accepted = request.headers.find("Accept-Encoding");
  return accepted != nullptr && accepted->find("gzip") != std::string::npos &&
         accepted->find("gzip;q=0") == std::string::npos;
}

void send_asset(const StaticAsset& asset, const net::HttpRequest& request, const net::Writer& writer) {
  net::HttpResponse response;
  response.headers = {{"Content-Type", std::string(asset.content_type)},
                      {"Cache-Control", "no-cache"},  // ask each time; the ETag makes that cheap
                      {"Vary", "Accept-Encoding"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Content-Security-Policy", std::string(kPolicy)}};
  if (!asset.etag.empty()) response.headers.add("ETag", std::string(asset.etag));
  const std::string* known = request.headers.find("If-None-Match");
  if (known != nullptr && !asset.etag.empty() && known->find(asset.etag) != std::string::npos) {
    response.status = 304;
  } else if (!asset.gzip.empty() && accepts_gzip(request)) {
    response.headers.add("Content-Encoding", "gzip");
    response.body = asset.gzip;
  } else {
    response.body = asset.bytes;
  }
  writer->send(response);
}

}  // namespace

void add_pages(const Context& context, net::Router* router) {
  for (const StaticAsset& asset : *context.assets) {
    const auto handler = [asset](net::HttpRequest&& request, const net::Writer& writer) {
      send_asset(asset, request, writer);
    };
    const auto add = [&](std::string path) {
      router->add({"GET", std::move(path), handler, net::RunOn::kNetwork, static_cast<int>(Access::kPublic)});
    };
    add(std::string(asset.path));
    if (asset.path == "/index.html") add("/");
  }
}

}  // namespace concerto::api
