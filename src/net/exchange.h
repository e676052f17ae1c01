// Exchange: what a ResponseWriter and its connection share. Internal to net/.
//
// Writers append to `out` and wake the connection; the connection takes `out`, writes it and lowers `queued`.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel_token.h"
#include "net/http_message.h"

namespace concerto::net {

struct Exchange {
  // Fixed by the connection before a writer exists.
  bool head_only = false;                        // HEAD: a response without its body
  bool http_1_0 = false;                         // no chunked coding: the end of a stream is the end of the connection
  size_t max_queued = 0;                         // bytes of one response waiting for the network
  std::atomic<size_t>* server_queued = nullptr;  // over all responses; outlives `wake`
  size_t max_server_queued = 0;
  std::function<HttpResponse()> dropped;  // what to send when a writer dies without a response

  std::mutex mutex;
  // Everything below is guarded by `mutex`.
  bool keep_alive = true;  // may turn false until the head is written
  enum class State { kWaiting, kStreaming, kFinished } state = State::kWaiting;
  int status = 0;
  std::string out;
  size_t queued = 0;  // out and what the connection is writing
  std::string ping;
  bool gone = false;
  std::function<void()> wake;  // empty once the connection has ended
  std::vector<std::function<void()>> on_gone;

  base::CancelToken cancel;

  // The head of a response. `length` < 0: a stream.
  void append_head(const HttpResponse& response, long long length);
  void append_out(std::string_view bytes);
  void append_chunk(std::string_view bytes);  // framed as the stream's coding asks
  // Marks the client as gone; returns the callbacks to run without the lock. Call with `mutex` held.
  [[nodiscard]] std::vector<std::function<void()>> set_gone();
};

}  // namespace concerto::net
