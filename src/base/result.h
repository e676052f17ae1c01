// Result and Error: how every fallible call of Concerto reports.
//
// A function that can fail because of input, files, the network or the machine returns Result<T>; it never throws and
// never aborts. `code` comes from the closed list below (api/error_map.h turns it into an HTTP status and an OpenAI
// error type); `message` is for a person and names subject, place, expected and found, e.g.
//   "model.gguf: blk.3.attn_q.weight: expected [1536, 1536], found [1536, 1024]".
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace concerto::base {

enum class Code {
  kInvalidArgument,  // the caller's value is wrong: type, range, shape
  kNotFound,         // file, model, case, route does not exist
  kUnsupported,      // well-formed, but not something this build or tier can do
  kCorrupt,          // a file or a message breaks its own format
  kIo,               // the operating system refused: open, read, write, map
  kContextLength,    // the prompt does not fit the context
  kOutOfMemory,      // the declared memory budget does not allow it
  kBusy,             // queue full: try again later (429)
  kUnauthorized,     // no key, or an unknown one
  kForbidden,        // a key without the right, a foreign Host
  kTooLarge,         // body, header, file over its limit
  kTimeout,          // a deadline passed
  kUnavailable,      // loading, draining, upstream down
  kUpstream,         // an upstream answered, but with an error or nonsense
  kConflict,         // the state does not allow it: a case answered twice
  kCancelled,        // the client went away
  kInternal,         // a bug of ours
};

// "invalid_argument", "not_found", ...; stable, used in logs, metrics and tests.
std::string_view code_name(Code code) noexcept;

struct Error {
  Code code = Code::kInternal;
  std::string message;
  std::string param;  // the request field or file part at fault, may be empty
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(Code code, std::string message, std::string param = {}) {
  return tl::make_unexpected(Error{code, std::move(message), std::move(param)});
}

}  // namespace concerto::base

// Early return on error: `TRY(auto x, open(path));` declares x or returns the error. Usable in functions returning
// Result.
#define CONCERTO_CONCAT_(a, b) a##b
#define CONCERTO_CONCAT(a, b) CONCERTO_CONCAT_(a, b)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration can't stand in parentheses.
#define CONCERTO_TRY_(tmp, decl, expr)                          \
  auto tmp = (expr);                                            \
  if (!tmp) return tl::make_unexpected(std::move(tmp).error()); \
  decl = std::move(*tmp)
// NOLINTEND(bugprone-macro-parentheses)
#define TRY(decl, expr) CONCERTO_TRY_(CONCERTO_CONCAT(try_, __COUNTER__), decl, expr)
#define TRY_STATUS(expr)                                                                       \
  do {                                                                                         \
    if (auto try_status = (expr); !try_status) return tl::make_unexpected(try_status.error()); \
  } while (0)
