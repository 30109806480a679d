// The .kvc reader on hostile bytes, and on files that lie where no checksum looks.
#include "limbeck/base/error.h"
#include "limbeck/cache/container_read.h"
#include "limbeck/cache/test_caches.h"
#include "limbeck/io/test_files.h"
#include "tests/fuzz/fuzz_driver.h"
#include "tests/fuzz/kvc_script.h"

#include <stdexcept>

namespace {

using namespace limbeck;

// An input that starts with this is a script for one of the seed files, see kvc_script.h.
constexpr uint8_t kScriptMark = 0xff;

void use(const KvCache& cache) {
  // Accepted: what the cache's operations rely on must hold.
  // Thrown, not aborted: under a sanitizer the driver saves no input when a program aborts.
  if (cache.bytes().total() < 0 || !cache_equal(cache, cache.clone()))
    throw std::logic_error("a cache differs from its clone");
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

std::vector<std::string> make_files() {
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

const std::vector<std::string>& files() {
  static const std::vector<std::string> list = make_files();
  return list;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> input(data, size);
  if (size >= 2 && data[0] == kScriptMark) {
    const std::string file =
        fuzz::apply_script(files()[data[1] % files().size()], input.subspan(2));
    read(test::as_bytes(file), false);
  } else {
    read(std::as_bytes(input), true);
    read(std::as_bytes(input), false);
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds = files();
  // Many scripts to one file: most of what a mutated file finds, the safetensors target finds too.
  Random random(2);
  for (int i = 0; i < 40; ++i) {
    std::string script = {static_cast<char>(kScriptMark), static_cast<char>(i)};
    const size_t edits = 1 + random.below(3);
    for (size_t k = 0; k < 5 * edits; ++k) script += static_cast<char>(random());
    // The second byte of a document's leaf: few documents have more than 256.
    for (size_t k = 4; k < script.size(); k += 5) script[k] = static_cast<char>(random.below(4));
    seeds.push_back(std::move(script));
  }
  return seeds;
}
