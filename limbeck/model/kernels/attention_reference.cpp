#include "limbeck/model/kernels/attention.h"
#include "limbeck/model/kernels/bf16.h"

#include <cmath>
#include <limits>
#include <vector>

namespace limbeck {
namespace {

constexpr double kMinusInf = -std::numeric_limits<double>::infinity();

double element(const void* data, DType type, int64_t i) {
  return type == DType::f32 ? static_cast<const float*>(data)[i]
                            : to_float(static_cast<const Bf16*>(data)[i]);
}

void one_head(const DecodeAttention& a, int64_t head) {
  const int64_t kv_head = head / (a.query_heads / a.kv_heads), d = a.head_dim;
  const float* q = a.query + head * d;
  struct Slot {
    const KvPart* part;
    int64_t row;
    double logit;
  };
  std::vector<Slot> slots;
  double top = kMinusInf;
  for (const KvPart& part : a.parts)
    for (int64_t j = 0; j < part.length[kv_head]; ++j) {
      const int64_t row = part.begin[kv_head] + j;
      double s = 0;
      for (int64_t i = 0; i < d; ++i) s += q[i] * element(part.keys, a.dtype, row * d + i);
      s *= a.scale;
      if (a.softcap != 0) s = a.softcap * std::tanh(s / a.softcap);
      if (part.bias) s += part.bias[row];
      slots.push_back({&part, row, s});
      top = std::max(top, s);
    }
  double mass = 0;
  std::vector<double> out(static_cast<size_t>(d), 0.0);
  if (top > kMinusInf)
    for (const Slot& slot : slots) {
      const double p = std::exp(slot.logit - top);
      mass += p;
      if (p > 0)
        for (int64_t i = 0; i < d; ++i)
          out[static_cast<size_t>(i)] += p * element(slot.part->values, a.dtype, slot.row * d + i);
    }
  for (int64_t i = 0; i < d; ++i)
    a.output[head * d + i] =
        mass > 0 ? static_cast<float>(out[static_cast<size_t>(i)] / mass) : 0.0F;
  if (a.lse) a.lse[head] = static_cast<float>(mass > 0 ? top + std::log(mass) : kMinusInf);
}

}  // namespace

void attention_decode_reference(const DecodeAttention& a) {
  for (int64_t head = 0; head < a.query_heads; ++head) one_head(a, head);
}

}  // namespace limbeck
