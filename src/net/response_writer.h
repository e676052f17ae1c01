// ResponseWriter: one response on its way to a client, usable from any thread.
//
// Either send() a whole response, or begin_stream(), write() any number of times and end(). Nothing here blocks: bytes
// are queued for the network thread. A client that reads too slowly fills the queue up to a limit and is then cut off,
// since those who write (an engine's thread) must never wait for it. A writer that is destroyed without a response
// sends a 500; in the middle of a stream it cuts the connection.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/cancel_token.h"
#include "net/http_message.h"

namespace concerto::net {

struct Exchange;  // exchange.h: the state shared with the connection

struct StreamOptions {
  std::string ping;  // sent whenever nothing else was for the server's ping interval; empty: never
};

class ResponseWriter {
 public:
  explicit ResponseWriter(std::shared_ptr<Exchange> exchange);
  ~ResponseWriter();
  ResponseWriter(const ResponseWriter&) = delete;
  ResponseWriter& operator=(const ResponseWriter&) = delete;

  // The first of send() and begin_stream() counts; false when another came before or the client is gone.
  bool send(const HttpResponse& response);
  bool begin_stream(int status, HttpHeaders headers, StreamOptions options = {});
  // false when the client is gone (or was cut off for reading too slowly).
  bool write(std::string_view bytes);
  void end();

  // True once the connection is lost; stays false when the response was sent completely.
  [[nodiscard]] bool gone() const;
  // Cancelled when the client goes away before the response is complete.
  [[nodiscard]] base::CancelToken cancel_token() const;
  // Called once, on the network thread (or right here when it already happened), if the client goes away before the
  // response is complete.
  void on_gone(std::function<void()> callback);

 private:
  std::shared_ptr<Exchange> exchange_;
};

using Writer = std::shared_ptr<ResponseWriter>;

}  // namespace concerto::net
