// The .kvc reader on hostile bytes, past the hashes that would stop nearly every mutation.
#include "limbeck/base/error.h"
#include "limbeck/cache/container_read.h"
#include "limbeck/cache/test_caches.h"
#include "limbeck/io/test_files.h"
#include "tests/fuzz/fuzz_driver.h"

#include <cstdlib>
#include <cstring>

namespace {

using namespace limbeck;

void use(const KvCache& cache) {
  // Accepted: what the cache's operations rely on must hold.
  if (cache.bytes().total() < 0 || !cache_equal(cache, cache.clone())) std::abort();
  KvCache copy = cache.clone();
  copy.seal();
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l) {
    const LayerCache& layer = cache.layer(l);
    if (layer.kind.type == LayerKind::Type::ring) {
      ring_linear(layer.tail);
      continue;
    }
    for (const auto& segment : copy.layer(l).segments) segment_check(*segment, cache.shape());
    cache_gather(cache, l, {0, cache.logical_length() / 2});
  }
}

void read(std::span<const std::byte> bytes, bool verify_hashes) {
  try {
    ContainerReadOptions options;
    options.max_ring_bytes = 1 << 22;
    options.verify_hashes = verify_hashes;
    use(container_read(bytes, "fuzz", nullptr, nullptr, options).cache);
  } catch (const FormatError&) {
    // What a bad file is supposed to cause.
  }
}

std::string saved(const KvCache& cache) {
  const test::ScratchFolder folder;
  ContainerHeader header;
  header.model = {"llama", "3f2a", 6, 0.125, "default"};
  header.notes = {{"prefix", "<|user|>"}};
  cache_save(cache, header, folder.path() / "seed.kvc");
  return test::read_file(folder.path() / "seed.kvc");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read(bytes, true);
  read(bytes, false);
  // Most mutations of the header change its length, and would get no further than that check: once
  // more with a length field that fits the last brace before the data.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t brace = text.rfind("]}}");
  if (brace != std::string_view::npos && brace >= 8) {
    size_t end = brace + 3;
    while (end < size && text[end] == ' ') ++end;
    std::vector<std::byte> repaired(bytes.begin(), bytes.end());
    const uint64_t length = end - 8;
    std::memcpy(repaired.data(), &length, sizeof length);
    read(repaired, false);
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  using test::kFull;
  using test::ring_of;
  Random random(1);
  KvCache tail(test::shape_of(2, 2, DType::f32, {kFull}));
  test::append(tail, 3, random);
  KvCache ring(test::shape_of(1, 2, DType::bf16, {kFull, ring_of(3)}));
  test::append(ring, 5, random);
  ring.seal();
  KvCache biased(test::shape_of(2, 2, DType::bf16, {kFull}));
  test::append(biased, 260, random);
  test::compact(biased, 0, 1, 2, random, {.bias = true, .names = {"mass"}});
  biased.set_protected_ranges({{1, 3}});
  test::append(biased, 2, random);
  return {saved(tail), saved(ring), saved(biased)};
}
