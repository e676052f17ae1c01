/* The C face of the Rust library: chat templates (minijinja). Everything here may be called from any thread; a compiled
 * template is immutable and may be rendered by many threads at once. No call throws, aborts or keeps a pointer that it
 * was given. Text is UTF-8 with an explicit length and may hold NUL bytes. */
#ifndef CONCERTO_RUST_H_
#define CONCERTO_RUST_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that the caller doesn't give up. data may be NULL when len is 0. */
typedef struct {
  const char* data;
  size_t len;
} concerto_text;

/* Bytes that Rust made; the caller owns them and gives them back to concerto_buffer_free. */
typedef struct {
  char* data;
  size_t len;
  size_t capacity;
} concerto_buffer;

typedef enum {
  CONCERTO_OK = 0,
  CONCERTO_SYNTAX = 1,      /* the template doesn't parse */
  CONCERTO_BAD_INPUT = 2,   /* a JSON argument doesn't parse or has the wrong type */
  CONCERTO_REFUSED = 3,     /* the template called raise_exception */
  CONCERTO_OUT_OF_FUEL = 4, /* the template ran for too long */
  CONCERTO_UNKNOWN = 5,     /* the template names a filter, test, function or statement that doesn't exist */
  CONCERTO_RENDER = 6,      /* any other error while rendering, e.g. an undefined variable's attribute */
  CONCERTO_PANIC = 7        /* a bug on the Rust side */
} concerto_status;

typedef struct concerto_template concerto_template;

/* What a template sees. The JSON texts: messages an array, tools an array or empty (None), extra an object or empty. */
typedef struct {
  concerto_text messages_json;
  concerto_text tools_json;
  concerto_text extra_json;
  int add_generation_prompt; /* 0 or 1 */
  int64_t wall_ms;           /* strftime_now: milliseconds since 1970 UTC */
  int32_t utc_offset_s;      /* strftime_now: the local time zone, seconds east of UTC */
} concerto_template_input;

/* Compiles `source`; bos and eos become the variables bos_token and eos_token. On success *out holds the template, which
 * concerto_template_free takes back; otherwise *message holds a text for people (with the line, when there is one). */
concerto_status concerto_template_compile(concerto_text source, concerto_text bos, concerto_text eos,
                                          concerto_template** out, concerto_buffer* message);

/* Renders into *out on success, an error's text into *out otherwise. */
concerto_status concerto_template_render(const concerto_template* tmpl, const concerto_template_input* input,
                                         concerto_buffer* out);

void concerto_template_free(concerto_template* tmpl);
void concerto_buffer_free(concerto_buffer buffer);

#ifdef __cplusplus
}
#endif
#endif /* CONCERTO_RUST_H_ */
