#include "text/stop_matcher.h"

#include <utility>

namespace concerto::text {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) : nodes_(1) {
  for (size_t s = 0; s < stops.size(); ++s) {
    lengths_.push_back(stops[s].size());
    if (stops[s].empty()) continue;
    int32_t node = 0;
    for (const char c : stops[s]) {
      const auto byte = static_cast<unsigned char>(c);
      int32_t next = child_of(node, byte);
      if (next == 0) {
        next = static_cast<int32_t>(nodes_.size());
        Node made;
        made.byte = byte;
        made.depth = nodes_[static_cast<size_t>(node)].depth + 1;
        made.sibling = nodes_[static_cast<size_t>(node)].child;
        nodes_.push_back(made);
        nodes_[static_cast<size_t>(node)].child = next;
      }
      node = next;
    }
    Node& last = nodes_[static_cast<size_t>(node)];
    if (last.stop < 0) last.stop = static_cast<int32_t>(s);
  }
  // Breadth first: a node's fall is found through its parent's, which is shallower.
  std::vector<int32_t> queue{0};
  for (size_t at = 0; at < queue.size(); ++at) {
    const int32_t parent = queue[at];
    for (int32_t n = nodes_[static_cast<size_t>(parent)].child; n != 0; n = nodes_[static_cast<size_t>(n)].sibling) {
      Node& node = nodes_[static_cast<size_t>(n)];
      node.fall = parent == 0 ? 0 : step(nodes_[static_cast<size_t>(parent)].fall, node.byte);
      // A stop string of the node's own is longer than any that its suffixes end.
      if (node.stop < 0) node.stop = nodes_[static_cast<size_t>(node.fall)].stop;
      queue.push_back(n);
    }
  }
}

int32_t StopMatcher::child_of(int32_t node, unsigned char byte) const noexcept {
  int32_t at = nodes_[static_cast<size_t>(node)].child;
  while (at != 0 && nodes_[static_cast<size_t>(at)].byte != byte) at = nodes_[static_cast<size_t>(at)].sibling;
  return at;
}

int32_t StopMatcher::step(int32_t node, unsigned char byte) const noexcept {
  while (true) {
    if (const int32_t next = child_of(node, byte); next != 0) return next;
    if (node == 0) return 0;
    node = nodes_[static_cast<size_t>(node)].fall;
  }
}

StopMatcher::Step StopMatcher::feed(std::string_view text) {
  if (matched_ >= 0) return {{}, true};
  std::string all = std::exchange(held_, {});
  const size_t fresh = all.size();
  all.append(text);
  for (size_t i = fresh; i < all.size(); ++i) {
    state_ = step(state_, static_cast<unsigned char>(all[i]));
    if (const int32_t stop = nodes_[static_cast<size_t>(state_)].stop; stop >= 0) {
      matched_ = stop;
      all.resize(i + 1 - lengths_[static_cast<size_t>(stop)]);
      return {std::move(all), true};
    }
  }
  const auto keep = static_cast<size_t>(nodes_[static_cast<size_t>(state_)].depth);
  held_ = all.substr(all.size() - keep);
  all.resize(all.size() - keep);
  return {std::move(all), false};
}

std::string StopMatcher::finish() {
  state_ = 0;
  return std::exchange(held_, {});
}

}  // namespace concerto::text
