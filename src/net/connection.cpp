#include "net/connection.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/log.h"

namespace concerto::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr size_t kReadBytes = 8192;
constexpr size_t kMaxPipelined = 64 << 10;  // received while a response is under way
constexpr int kLingerMs = 2'000;
constexpr size_t kLingerBytes = size_t{16} << 20;

std::string_view view(const beast::flat_buffer& buffer) {
  return {static_cast<const char*>(buffer.data().data()), buffer.size()};
}

std::string text_of(beast::string_view s) { return {s.data(), s.size()}; }

// Position of a LF that no CR precedes, npos when there is none.
size_t bare_lf(std::string_view text) {
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    if (at == 0 || text[at - 1] != '\r') return at;
  }
  return std::string_view::npos;
}

}  // namespace

// The request being read and, when it must be refused, why.
struct Connection::Incoming {
  http::request_parser<http::string_body> parser;
  HttpRequest request;
  Router::Match match;
  bool keep_alive = true;
  bool http_1_0 = false;
  bool has_body = false;
  bool wants_continue = false;
  int status = 0;  // of the refusal, 0: fine
  std::string code;
  std::string message;
  std::optional<HttpResponse> refusal;  // by the gate
  Clock::time_point started;

  bool fail(int with_status, std::string_view with_code, std::string with_message) {
    status = with_status;
    code = with_code;
    message = std::move(with_message);
    return false;
  }
};

Connection::Connection(asio::ip::tcp::socket socket, NetworkLoop* loop)
    : socket_(std::move(socket)), loop_(loop), core_(loop->core), limits_(core_->options.limits), wake_(loop->context) {
  error_code ec;
  const auto peer = socket_.remote_endpoint(ec);
  if (!ec) remote_ = peer.address().to_string();
  socket_.set_option(asio::ip::tcp::no_delay(true), ec);
  socket_.non_blocking(true, ec);
  loop_->connections.insert(this);
}

Connection::~Connection() {
  loop_->connections.erase(this);
  const std::lock_guard lock(core_->mutex);
  core_->connections.fetch_sub(1);
  core_->empty.notify_all();
}

void Connection::close() {
  error_code ec;
  socket_.close(ec);
  wake_.cancel();
}

void Connection::close_if_idle() {
  if (idle_) close();
}

void Connection::sweep(Clock::time_point now) {
  if (now > deadline_) {
    deadline_ = Clock::time_point::max();
    timed_out_ = true;
    error_code ec;
    socket_.cancel(ec);
    return;
  }
  if (exchange_ && now - last_write_ > std::chrono::milliseconds(limits_.ping_ms)) {
    const std::lock_guard lock(exchange_->mutex);
    if (exchange_->state == Exchange::State::kStreaming && exchange_->queued == 0 && !exchange_->ping.empty()) {
      exchange_->append_chunk(exchange_->ping);
      wake_.cancel();
    }
  }
}

Connection::Async<void> Connection::run() {
  const auto self = shared_from_this();
  bool first = true;
  for (;;) {
    idle_ = buffer_.size() == 0;
    if (core_->draining && idle_) break;
    expect_within(first ? limits_.header_ms : limits_.idle_ms);
    Incoming in;
    bool more = co_await read_head(&in);
    if (more && in.status == 0) {
      if (accept_head(&in)) more = co_await read_body(&in);
    }
    deadline_ = Clock::time_point::max();
    if (!more) break;
    if (in.status != 0) {
      co_await refuse(in.status, in.code, in.message);
      break;
    }
    more = co_await respond(&in);
    if (!more) break;
    first = false;
  }
  error_code ec;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ec);
  socket_.close(ec);
}

// Reads up to the empty line. false: the connection is over, with nothing to answer.
Connection::Async<bool> Connection::read_head(Incoming* in) {
  size_t end = std::string_view::npos;
  for (;;) {
    // Empty lines before a request are skipped, as RFC 9112 asks.
    while (view(buffer_).starts_with("\r\n")) buffer_.consume(2);
    const std::string_view got = view(buffer_);
    end = got.find("\r\n\r\n");
    const std::string_view head = got.substr(0, end);
    if (bare_lf(head) != std::string_view::npos) {
      in->fail(400, "bad_request", "request head: expected lines that end with CRLF, found a bare LF");
      co_return true;
    }
    if (head.size() > limits_.header_bytes) {
      in->fail(431, "header_too_large",
               fmt::format("request head: expected at most {} bytes, found more", limits_.header_bytes));
      co_return true;
    }
    if (end != std::string_view::npos) break;
    error_code ec;
    const size_t n =
        co_await socket_.async_read_some(buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, ec));
    if (ec || n == 0) {
      if (timed_out_ && !idle_ && socket_.is_open()) {
        in->fail(408, "request_timeout", "request head: expected its end in time, found an incomplete head");
        co_return true;
      }
      co_return false;
    }
    buffer_.commit(n);
    if (idle_) {
      idle_ = false;
      expect_within(limits_.header_ms);
    }
  }
  idle_ = false;
  in->started = Clock::now();
  const std::string_view head = view(buffer_).substr(0, end + 4);
  if (head.find("\r\n ") != std::string_view::npos || head.find("\r\n\t") != std::string_view::npos) {
    in->fail(400, "bad_request", "request head: expected one line per field, found a folded one");
    co_return true;
  }
  in->parser.header_limit(static_cast<uint32_t>(limits_.header_bytes + 4));
  in->parser.body_limit(limits_.body_bytes);
  error_code ec;
  const size_t used = in->parser.put(asio::const_buffer(head.data(), head.size()), ec);
  if (ec == http::error::body_limit) {
    in->fail(413, "body_too_large",
             fmt::format("request body: expected at most {} bytes, found a longer one", limits_.body_bytes));
  } else if (ec == http::error::bad_version) {
    in->fail(505, "bad_request", "request line: expected HTTP/1.1 or HTTP/1.0, found another version");
  } else if (ec || !in->parser.is_header_done()) {
    in->fail(
        400, "bad_request",
        fmt::format("request head: expected a well-formed HTTP/1.1 head, found: {}", ec ? ec.message() : "no end"));
  } else {
    buffer_.consume(used);
  }
  co_return true;
}

// Judges the head: framing, Host, route, gate. false: `in` says what to answer.
bool Connection::accept_head(Incoming* in) {
  const auto& message = in->parser.get();
  HttpRequest& request = in->request;
  in->http_1_0 = message.version() < 11;
  in->keep_alive = in->parser.keep_alive();
  size_t count = 0;
  for (const auto& field : message) {
    if (++count > limits_.header_fields) {
      return in->fail(431, "header_too_large",
                      fmt::format("request head: expected at most {} fields, found more", limits_.header_fields));
    }
    request.headers.add(text_of(field.name_string()), text_of(field.value()));
  }
  const HttpHeaders& headers = request.headers;
  request.method = text_of(message.method_string());
  request.remote = remote_;

  // One reading of where the body ends, or none at all.
  const bool has_length = headers.find("Content-Length") != nullptr;
  if (const std::string* coding = headers.find("Transfer-Encoding")) {
    if (has_length || in->http_1_0 || headers.count("Transfer-Encoding") != 1 ||
        !equals_ignoring_case(*coding, "chunked")) {
      return in->fail(400, "bad_request",
                      "Transfer-Encoding: expected 'chunked' alone, without Content-Length, in HTTP/1.1");
    }
    in->has_body = true;
  } else if (has_length) {
    const std::string& length = *headers.find("Content-Length");
    if (headers.count("Content-Length") != 1 || length.empty() ||
        length.find_first_not_of("0123456789") != std::string::npos) {
      return in->fail(400, "bad_request", "Content-Length: expected one decimal number");
    }
    in->has_body = length.find_first_not_of('0') != std::string::npos;
  }

  const std::string target = text_of(message.target());
  if (!target.starts_with('/')) {
    return in->fail(400, "bad_request", "request target: expected a path that starts with '/'");
  }
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  const size_t hosts = headers.count("Host");
  if (hosts > 1 || (hosts == 0 && !in->http_1_0)) {
    return in->fail(400, "bad_request", fmt::format("Host: expected exactly one field, found {}", hosts));
  }
  const std::string* host = headers.find("Host");
  if (host != nullptr && !host_allowed(*host, core_->options.bind, core_->options.allowed_hosts)) {
    return in->fail(403, "host_not_allowed",
                    "Host: expected localhost, a loopback address or a name in allowed_hosts, found another name");
  }
  if (const std::string* expect = headers.find("Expect")) {
    if (!equals_ignoring_case(*expect, "100-continue")) {
      return in->fail(417, "bad_request", "Expect: expected '100-continue', found something else");
    }
    in->wants_continue = in->has_body && !in->http_1_0;
  }
  in->match = core_->router.match(request.method, request.path);
  if (in->match.route != nullptr && core_->options.gate) {
    in->refusal = core_->options.gate(request, *in->match.route);
  }
  // A refused body isn't read, so the connection can't go on after it.
  const bool refused = in->refusal || in->match.route == nullptr || in->match.bad_encoding;
  if (refused && in->has_body) {
    in->keep_alive = false;
    in->has_body = false;
    in->wants_continue = false;
  }
  return true;
}

// false: the connection is over. Otherwise the body is in in->request, or in->status says what is wrong with it.
Connection::Async<bool> Connection::read_body(Incoming* in) {
  if (!in->has_body) co_return true;
  if (in->wants_continue && buffer_.size() == 0) {
    if (!co_await write_all("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
  }
  const auto last = Clock::now() + std::chrono::milliseconds(limits_.body_total_ms);
  in->parser.eager(true);
  while (!in->parser.is_done()) {
    deadline_ = std::min(last, Clock::now() + std::chrono::milliseconds(limits_.body_stall_ms));
    error_code ec;
    co_await http::async_read_some(socket_, buffer_, in->parser, asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) continue;
    if (ec == http::error::body_limit) {
      in->fail(413, "body_too_large",
               fmt::format("request body: expected at most {} bytes, found a longer one", limits_.body_bytes));
    } else if (timed_out_) {
      in->fail(408, "request_timeout", "request body: expected its end in time, found an incomplete body");
    } else if (ec == http::error::partial_message || ec == asio::error::connection_reset ||
               ec == asio::error::operation_aborted) {
      co_return false;
    } else {
      in->fail(400, "bad_request", fmt::format("request body: expected well-formed chunks, found: {}", ec.message()));
    }
    co_return true;
  }
  in->request.body = std::move(in->parser.get().body());
  co_return true;
}

// Answers what can't be a request, then lets the client read the answer before the connection goes.
Connection::Async<bool> Connection::refuse(int status, std::string_view code, std::string_view message) {
  timed_out_ = false;
  Exchange exchange;
  exchange.keep_alive = false;
  const HttpResponse response = core_->error(status, code, message);
  exchange.append_head(response, static_cast<long long>(response.body.size()));
  exchange.append_out(response.body);
  if (core_->options.on_finished) core_->options.on_finished({"", "", status, 0});
  if (!co_await write_all(exchange.out)) co_return false;
  co_await linger();
  co_return true;
}

// Runs the handler and sends what it answers. true: the connection can take another request.
Connection::Async<bool> Connection::respond(Incoming* in) {
  auto exchange = std::make_shared<Exchange>();
  exchange->head_only = in->request.method == "HEAD";
  exchange->http_1_0 = in->http_1_0;
  exchange->keep_alive = in->keep_alive && !core_->draining;
  exchange->max_queued = limits_.queued_bytes;
  exchange->server_queued = &core_->queued_bytes;
  exchange->max_server_queued = limits_.total_queued_bytes;
  exchange->dropped = [core = core_] { return core->error(500, "internal_error", "the request was dropped"); };
  exchange->wake = [posted = wake_posted_, weak = weak_from_this(), loop = loop_] {
    if (posted->exchange(true)) return;
    asio::post(loop->context, [posted, weak] {
      posted->store(false);
      if (const auto self = weak.lock()) self->wake_.cancel();
    });
  };
  // However this coroutine ends (the loop may be torn down under it), writers must not reach the connection any more.
  struct Detach {
    Exchange* exchange;
    ServerCore* core;
    ~Detach() {
      std::vector<std::function<void()>> callbacks;
      {
        const std::lock_guard lock(exchange->mutex);
        exchange->wake = nullptr;
        core->queued_bytes.fetch_sub(exchange->queued);
        exchange->server_queued = nullptr;
        exchange->queued = 0;
        if (exchange->state != Exchange::State::kFinished || !exchange->out.empty()) callbacks = exchange->set_gone();
        exchange->on_gone.clear();
      }
      for (const auto& callback : callbacks) callback();
    }
  };
  bool delivered = false;
  const std::string method = in->request.method;
  const std::string pattern = in->match.route != nullptr ? in->match.route->pattern : std::string();
  {
    const Detach detach{exchange.get(), core_};
    auto writer = std::make_shared<ResponseWriter>(exchange);
    if (in->match.bad_encoding) {
      writer->send(
          core_->error(400, "bad_request", "request target: expected %XX in percent-encoding, found other text"));
    } else if (in->match.route == nullptr && in->match.allow.empty()) {
      writer->send(core_->error(404, "not_found", fmt::format("{} {}: no such path", method, in->request.path)));
    } else if (in->match.route == nullptr) {
      HttpResponse response = method == "OPTIONS"
                                  ? HttpResponse{204, {}, {}}
                                  : core_->error(405, "method_not_allowed",
                                                 fmt::format("{}: expected one of {}, found {}", in->request.path,
                                                             in->match.allow, method));
      response.headers.set("Allow", in->match.allow);
      writer->send(response);
    } else if (in->refusal) {
      writer->send(*in->refusal);
    } else {
      in->request.params = std::move(in->match.params);
      const Route* route = in->match.route;
      auto call = [route, request = std::move(in->request), writer]() mutable {
        try {
          route->handler(std::move(request), std::move(writer));
        } catch (const std::exception& error) {  // a bug or no memory: the writer's end answers 500
          base::log(base::LogLevel::kError, "handler failed route={} what={}", route->pattern, error.what());
        }
      };
      writer.reset();
      if (route->run_on == RunOn::kNetwork) {
        call();
      } else {
        asio::post(core_->workers, std::move(call));
      }
    }
    writer.reset();
    delivered = co_await deliver(exchange);
  }
  const std::lock_guard lock(exchange->mutex);
  if (core_->options.on_finished) {
    const double seconds = std::chrono::duration<double>(Clock::now() - in->started).count();
    core_->options.on_finished({method, pattern, exchange->status != 0 ? exchange->status : 499, seconds});
  }
  if (delivered && !exchange->keep_alive) co_await linger();
  co_return delivered && exchange->keep_alive;
}

// Writes the response as it comes while it watches the client. false: the client went away first.
Connection::Async<bool> Connection::deliver(std::shared_ptr<Exchange> exchange) {
  using namespace asio::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace)
  exchange_ = exchange;
  delivered_ = false;
  last_write_ = Clock::now();
  bool complete = false;
  {
    const std::lock_guard lock(exchange->mutex);
    complete = exchange->state == Exchange::State::kFinished;
  }
  if (complete) {
    co_await pump(exchange.get());
  } else {
    co_await (watch() || pump(exchange.get()));
  }
  exchange_.reset();
  deadline_ = Clock::time_point::max();
  co_return delivered_;
}

// Ends when the client is gone. What it sends meanwhile is the next request and stays in the buffer.
Connection::Async<void> Connection::watch() {
  for (;;) {
    error_code ec;
    if (buffer_.size() >= kMaxPipelined) {
      // No more is taken in; a client that leaves now is noticed by the next write.
      asio::steady_timer never(loop_->context, Clock::time_point::max());
      co_await never.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      co_return;
    }
    co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return;
    const size_t n = socket_.read_some(buffer_.prepare(kReadBytes), ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) continue;
    if (ec || n == 0) co_return;
    buffer_.commit(n);
  }
}

Connection::Async<void> Connection::pump(Exchange* exchange) {
  std::string bytes;
  for (;;) {
    bytes.clear();
    bool finished = false;
    {
      const std::lock_guard lock(exchange->mutex);
      if (exchange->gone) co_return;
      bytes.swap(exchange->out);
      finished = exchange->state == Exchange::State::kFinished;
    }
    if (!bytes.empty()) {
      if (!co_await write_all(bytes)) co_return;
      last_write_ = Clock::now();
      const std::lock_guard lock(exchange->mutex);
      exchange->queued -= bytes.size();
      core_->queued_bytes.fetch_sub(bytes.size());
      continue;
    }
    if (finished) {
      delivered_ = true;
      co_return;
    }
    // Nobody can wake us between the look above and this wait: wakes are posted to this thread.
    error_code ec;
    wake_.expires_at(Clock::time_point::max());
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    if (!socket_.is_open()) co_return;
  }
}

Connection::Async<bool> Connection::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    expect_within(limits_.write_stall_ms);
    error_code ec;
    const size_t n = co_await socket_.async_write_some(asio::const_buffer(bytes.data(), bytes.size()),
                                                       asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return false;
    bytes.remove_prefix(n);
  }
  deadline_ = Clock::time_point::max();
  co_return true;
}

// Half-closes and reads on for a moment: closing with unread input would reset the connection, and the client might
// lose the answer.
Connection::Async<void> Connection::linger() {
  error_code ec;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ec);
  idle_ = true;  // nothing is lost if the server stops now
  expect_within(kLingerMs);
  size_t total = 0;
  while (!ec && total < kLingerBytes) {
    buffer_.clear();
    const size_t n =
        co_await socket_.async_read_some(buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, ec));
    total += n;
  }
}

}  // namespace concerto::net
