// Server-sent events from bytes, as the WHATWG HTML standard (section 9.2.6) cuts them: lines end in LF, CR or CRLF,
// a blank line ends an event, several `data:` lines join with LF, a line that begins with a colon is a comment.

export class SseParser {
  #decoder = new TextDecoder(); // keeps the bytes of a character that was cut; drops a byte order mark
  #text = "";
  #data = null; // lines of the event under way; null: none
  #event = "";

  // Returns the events that became complete: [{event, data}].
  push(bytes) {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    const events = [];
    let start = 0;
    for (;;) {
      const end = this.#endOfLine(start);
      if (end < 0) break;
      const line = this.#text.slice(start, end);
      start = end + (this.#text[end] === "\r" && this.#text[end + 1] === "\n" ? 2 : 1);
      const event = this.#take(line);
      if (event) events.push(event);
    }
    this.#text = this.#text.slice(start);
    return events;
  }

  // Where the line from `start` ends; -1 while that is not known. A CR as the last character is not known yet: its LF
  // may be the next byte.
  #endOfLine(start) {
    for (let i = start; i < this.#text.length; ++i) {
      if (this.#text[i] === "\n") return i;
      if (this.#text[i] === "\r") return i + 1 < this.#text.length ? i : -1;
    }
    return -1;
  }

  #take(line) {
    if (line === "") {
      const event = this.#data && { event: this.#event || "message", data: this.#data.join("\n") };
      this.#data = null;
      this.#event = "";
      return event;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value[0] === " ") value = value.slice(1);
    if (field === "data") (this.#data ??= []).push(value);
    if (field === "event") this.#event = value;
    return null;
  }
}
