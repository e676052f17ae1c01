#include "net/response_writer.h"

#include <fmt/format.h>

#include <ctime>

#include "net/exchange.h"

namespace concerto::net {
namespace {

// A field that could break the framing is a bug of ours; it is left out rather than sent.
bool is_safe(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  const size_t n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, n};
}

}  // namespace

void Exchange::append_head(const HttpResponse& response, long long length) {
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, reason_phrase(response.status), http_date());
  for (const auto& [name, value] : response.headers) {
    if (is_safe(name) && is_safe(value)) fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  }
  if (length >= 0) {
    // 204 and 304 have no body by definition, so no length either.
    if (response.status != 204 && response.status != 304) {
      fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", length);
    }
  } else if (http_1_0) {
    keep_alive = false;
  } else {
    head += "Transfer-Encoding: chunked\r\n";
  }
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  status = response.status;
  append_out(head);
}

void Exchange::append_out(std::string_view bytes) {
  out.append(bytes);
  queued += bytes.size();
  if (server_queued != nullptr) server_queued->fetch_add(bytes.size(), std::memory_order_relaxed);
}

void Exchange::append_chunk(std::string_view bytes) {
  if (http_1_0) {
    append_out(bytes);
    return;
  }
  append_out(fmt::format("{:x}\r\n", bytes.size()));
  append_out(bytes);
  append_out("\r\n");
}

std::vector<std::function<void()>> Exchange::set_gone() {
  if (gone) return {};
  gone = true;
  cancel.cancel();
  return std::move(on_gone);
}

ResponseWriter::ResponseWriter(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

ResponseWriter::~ResponseWriter() {
  bool waiting = false;
  {
    const std::lock_guard lock(exchange_->mutex);
    waiting = exchange_->state == Exchange::State::kWaiting && !exchange_->gone;
    if (exchange_->state == Exchange::State::kStreaming) {
      exchange_->gone = true;  // cut: an ended stream would look complete
      if (exchange_->wake) exchange_->wake();
    }
  }
  if (waiting) send(exchange_->dropped ? exchange_->dropped() : HttpResponse{500, {}, {}});
}

bool ResponseWriter::send(const HttpResponse& response) {
  Exchange& e = *exchange_;
  const std::lock_guard lock(e.mutex);
  if (e.gone || e.state != Exchange::State::kWaiting) return false;
  e.state = Exchange::State::kFinished;
  const bool bodyless = response.status == 204 || response.status == 304;
  e.append_head(response, static_cast<long long>(response.body.size()));
  if (!e.head_only && !bodyless) e.append_out(response.body);
  if (e.wake) e.wake();
  return true;
}

bool ResponseWriter::begin_stream(int status, HttpHeaders headers, StreamOptions options) {
  Exchange& e = *exchange_;
  const std::lock_guard lock(e.mutex);
  if (e.gone || e.state != Exchange::State::kWaiting) return false;
  e.state = e.head_only ? Exchange::State::kFinished : Exchange::State::kStreaming;
  e.ping = std::move(options.ping);
  e.append_head(HttpResponse{status, std::move(headers), {}}, -1);
  if (e.wake) e.wake();
  return true;
}

bool ResponseWriter::write(std::string_view bytes) {
  Exchange& e = *exchange_;
  std::vector<std::function<void()>> callbacks;
  {
    const std::lock_guard lock(e.mutex);
    if (e.gone) return false;
    if (e.state != Exchange::State::kStreaming) return e.head_only;
    if (bytes.empty()) return true;
    const bool full = e.queued + bytes.size() > e.max_queued ||
                      (e.server_queued != nullptr &&
                       e.server_queued->load(std::memory_order_relaxed) + bytes.size() > e.max_server_queued);
    if (!full) {
      e.append_chunk(bytes);
      if (e.wake) e.wake();
      return true;
    }
    callbacks = e.set_gone();
    if (e.wake) e.wake();
  }
  for (const auto& callback : callbacks) callback();
  return false;
}

void ResponseWriter::end() {
  Exchange& e = *exchange_;
  const std::lock_guard lock(e.mutex);
  if (e.gone || e.state != Exchange::State::kStreaming) return;
  e.state = Exchange::State::kFinished;
  if (!e.http_1_0) e.append_out("0\r\n\r\n");
  if (e.wake) e.wake();
}

bool ResponseWriter::gone() const {
  const std::lock_guard lock(exchange_->mutex);
  return exchange_->gone;
}

base::CancelToken ResponseWriter::cancel_token() const { return exchange_->cancel; }

void ResponseWriter::on_gone(std::function<void()> callback) {
  {
    const std::lock_guard lock(exchange_->mutex);
    if (!exchange_->gone) {
      exchange_->on_gone.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

}  // namespace concerto::net
