#include "limbeck/compact/queries/reference_queries.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace limbeck {

int64_t LayerQueries::tokens() const {
  int64_t n = 0;
  for (const QueryChunk& c : chunks) n += c.queries.size(1);
  return n;
}

LayerQueries LayerQueries::subset(int64_t limit, int64_t kv_heads) const {
  LayerQueries out{layer, scale, {}};
  if (chunks.empty()) return out;
  const int64_t group = chunks[0].queries.size(0) / kv_heads, total = tokens();
  const int64_t keep = std::clamp<int64_t>(limit / group, 1, total);
  int64_t seen = 0;
  for (const QueryChunk& c : chunks) {
    const int64_t n = c.queries.size(1);
    QueryChunk part{c.chunk, c.weight, {}, {}, {}};
    std::vector<int64_t> index;
    // Token i is taken when i * keep / total steps to a new integer.
    for (int64_t i = 0; i < n; ++i) {
      const int64_t g = seen + i;
      if (g * keep / total == (g - 1) * keep / total && g > 0) continue;
      index.push_back(i);
      part.rows.push_back(c.rows.empty() ? static_cast<int32_t>(i) : c.rows[i]);
    }
    seen += n;
    if (index.empty()) continue;
    const bool all = static_cast<int64_t>(index.size()) == n;
    const at::Tensor which = at::tensor(index, at::kLong);
    part.queries = all ? c.queries : c.queries.index_select(1, which);
    if (c.elsewhere.defined())
      part.elsewhere = all ? c.elsewhere : c.elsewhere.index_select(1, which);
    out.chunks.push_back(std::move(part));
  }
  return out;
}

at::Tensor LayerQueries::group_rows(int64_t kv_head, int64_t kv_heads) const {
  std::vector<at::Tensor> parts;
  const int64_t group = chunks.at(0).queries.size(0) / kv_heads, dim = chunks[0].queries.size(2);
  for (const QueryChunk& c : chunks) parts.push_back(c.queries.narrow(0, kv_head * group, group));
  return (parts.size() == 1 ? parts[0] : at::cat(parts, 1)).reshape({-1, dim});
}

std::pair<at::Tensor, at::Tensor> LayerQueries::rows_of(int64_t kv_head, int64_t kv_heads) const {
  const int64_t group = chunks.at(0).queries.size(0) / kv_heads;
  std::vector<float> token_weights;
  for (const QueryChunk& c : chunks)
    token_weights.insert(token_weights.end(), c.queries.size(1), static_cast<float>(c.weight));
  return {group_rows(kv_head, kv_heads).to(at::kFloat),
          at::tensor(token_weights, at::kFloat).repeat({group})};
}

std::vector<uint8_t> LayerQueries::held_out(int64_t group) const {
  constexpr int64_t kRun = 32;
  std::vector<uint8_t> tokens_held;
  for (size_t c = 0; c < chunks.size(); ++c)
    for (int64_t i = 0; i < chunks[c].queries.size(1); ++i) {
      const int64_t row = chunks[c].rows.empty() ? i : chunks[c].rows[i];
      const double u = unit_double(splitmix64_at(c, static_cast<uint64_t>(row / kRun)));
      tokens_held.push_back(u < 0.075 ? 1 : u < 0.15 ? 2 : 0);
    }
  std::vector<uint8_t> out;
  for (int64_t g = 0; g < group; ++g) out.insert(out.end(), tokens_held.begin(), tokens_held.end());
  return out;
}

namespace {

/// The visitor's results by KV head, all suffixes' rows together, as parts by suffix.
std::vector<AttentionPart> parts_of(const std::vector<HeadAttention>& seen,
                                    const std::vector<at::Tensor>& queries) {
  const auto heads = static_cast<int64_t>(seen.size());
  int64_t total = 0;
  for (const at::Tensor& q : queries) total += q.size(1);
  const int64_t query_heads = queries[0].size(0), group = query_heads / heads;
  const int64_t dim = queries[0].size(2);
  std::vector<at::Tensor> outs, masses;
  for (const HeadAttention& h : seen) {
    const bool slots = h.outputs.defined();  // without any, a row finds no mass
    outs.push_back(slots ? h.outputs.view({group, total, dim}) : at::zeros({group, total, dim}));
    masses.push_back(slots ? h.lse.view({group, total}) : at::full({group, total}, -INFINITY));
  }
  const at::Tensor out = at::cat(outs), lse = at::cat(masses);
  std::vector<AttentionPart> parts;
  int64_t first = 0;
  for (const at::Tensor& q : queries) {
    parts.push_back({out.narrow(1, first, q.size(1)), lse.narrow(1, first, q.size(1))});
    first += q.size(1);
  }
  return parts;
}

}  // namespace

void for_each_query_layer(const Model& model, const KvCache& cache, PositionRange span,
                          std::span<const ReferenceSuffix> suffixes, const LayerQueriesFn& fn,
                          const ProgressFn& progress) {
  if (suffixes.empty())
    throw InvalidArgument(
        "[compact] there are no reference suffixes; give a repeat prompt or other tokens to read "
        "behind the text");
  std::vector<std::vector<int32_t>> tokens;
  std::vector<const ReferenceSuffix*> behind;
  bool in_place = false;
  for (const ReferenceSuffix& s : suffixes) {
    in_place |= s.in_place;
    if (s.in_place) continue;
    tokens.push_back(s.tokens);
    behind.push_back(&s);
  }
  LayerwiseOptions options;
  options.progress = progress;
  options.stage = "reference queries";
  const double scale = model.spec().softmax_scale;
  const auto is_full = [&](int64_t l) { return cache.layer(l).kind.type == LayerKind::Type::full; };

  // The text itself, read once more from its start: its own queries, kept for all layers.
  std::vector<QueryChunk> own(cache.shape().layer_count());
  if (in_place) {
    const std::vector<std::vector<int32_t>> text = {
        {cache.tokens().begin(), cache.tokens().begin() + span.end}};
    KvCache empty = model.new_cache();
    if (cache.head_pattern() != nullptr) empty.set_head_pattern(*cache.head_pattern());
    forward_layerwise(
        model, empty, text,
        [&](const LayerwiseRows& rows) {
          if (is_full(rows.layer)) {
            const at::Tensor q = rows.queries[0].narrow(1, span.begin, span.size()).contiguous();
            own[rows.layer] = {span, 1.0, q, {}, {}};
          }
          return LayerwiseAnswer{};
        },
        options);
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
      if (is_full(l))
        own[l].elsewhere =
            attention_over(cache_gather(cache, l, {0, span.begin}), own[l].queries, scale).lse;
  }
  const auto visit = [&](int64_t layer, std::vector<QueryChunk> chunks) {
    if (in_place) chunks.push_back(std::move(own[layer]));
    return fn({layer, scale, std::move(chunks)});
  };
  if (behind.empty()) {
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
      if (is_full(l)) visit(l, {});
    return;
  }
  options.span = span;
  forward_layerwise(
      model, cache, tokens,
      [&](const LayerwiseRows& rows) -> LayerwiseAnswer {
        if (!is_full(rows.layer)) return {};
        std::vector<QueryChunk> chunks;
        for (size_t s = 0; s < behind.size(); ++s)
          chunks.push_back(
              {behind[s]->chunk, behind[s]->weight, rows.queries[s], rows.elsewhere[s], {}});
        const LayerAnswer answer = visit(rows.layer, std::move(chunks));
        if (answer.instead != nullptr) return {answer.instead, {}};
        if (answer.seen == nullptr || answer.seen->empty() || in_place) return {};
        return {nullptr, parts_of(*answer.seen, rows.queries)};
      },
      options);
}

StoredQueries store_queries(const Model& model, const KvCache& cache, PositionRange span,
                            std::span<const ReferenceSuffix> suffixes, const ProgressFn& progress) {
  StoredQueries out;
  out.layers.resize(cache.shape().layer_count());
  for_each_query_layer(
      model, cache, span, suffixes,
      [&](const LayerQueries& q) {
        out.layers[q.layer] = q;
        return LayerAnswer{};
      },
      progress);
  return out;
}

}  // namespace limbeck
