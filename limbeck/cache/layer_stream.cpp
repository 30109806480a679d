#include "limbeck/cache/layer_stream.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {

void stream_append(LayerStream& s, const at::Tensor& keys, const at::Tensor& values) {
  const at::Tensor index = at::tensor(s.heads, at::TensorOptions().dtype(at::kLong));
  const int64_t rows = keys.size(1), dim = keys.size(2);
  if (!s.keys.defined()) {
    const auto heads = static_cast<int64_t>(s.heads.size());
    s.keys = at::empty({heads, s.sinks + s.window, dim}, keys.options());
    s.values = at::empty({heads, s.sinks + s.window, dim}, keys.options());
  }
  const auto store = [&](int64_t from, int64_t to, int64_t n) {
    if (n == 0) return;
    s.keys.narrow(1, to, n).copy_(keys.narrow(1, from, n).index_select(0, index));
    s.values.narrow(1, to, n).copy_(values.narrow(1, from, n).index_select(0, index));
  };
  const int64_t sinks = std::min(rows, s.sinks - std::min(s.length, s.sinks));
  store(0, s.length, sinks);
  s.length += sinks;
  const int64_t rest = rows - sinks;
  // Rows that a later one of the same call would overwrite are skipped.
  for (int64_t done = std::max<int64_t>(0, rest - s.window); done < rest;) {
    const int64_t at = (s.next + done) % s.window;
    const int64_t n = std::min(rest - done, s.window - at);
    store(sinks + done, s.sinks + at, n);
    done += n;
  }
  s.next = (s.next + rest) % s.window;
  s.length = std::min(s.length + rest, s.sinks + s.window);
}

std::vector<int64_t> stream_positions(const LayerStream& s, int64_t end) {
  std::vector<int64_t> out(static_cast<size_t>(s.length));
  const int64_t sinks = std::min(s.length, s.sinks), ring = s.length - sinks;
  for (int64_t i = 0; i < sinks; ++i) out[i] = i;
  const int64_t oldest = ring < s.window ? 0 : s.next;
  for (int64_t i = 0; i < ring; ++i) out[sinks + (oldest + i) % s.window] = end - ring + i;
  return out;
}

void stream_truncate(LayerStream& s, int64_t rows) {
  LIMBECK_CHECK(rows <= s.length, "{} of {} rows", rows, s.length);
  s.length -= rows;
  s.next = std::max<int64_t>(0, s.length - s.sinks) % s.window;
}

LayerStream stream_copy(const LayerStream& s) {
  LayerStream out = s;
  if (s.keys.defined()) {
    out.keys = s.keys.clone();
    out.values = s.values.clone();
  }
  return out;
}

}  // namespace limbeck
