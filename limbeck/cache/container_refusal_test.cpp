// Every file that cache_load must refuse, with the text that says why.
#include "limbeck/base/error.h"
#include "limbeck/cache/container.h"
#include "limbeck/cache/test_caches.h"
#include "limbeck/cache/test_forgery.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <cmath>

namespace limbeck {
namespace {

using test::error_text;
using test::Forgery;
using test::kFull;
using test::ring_of;

ContainerHeader header_of(std::string family, std::string fingerprint) {
  ContainerHeader header;
  header.model.family = std::move(family);
  header.model.fingerprint = std::move(fingerprint);
  header.model.query_heads = 6;
  header.model.scale = 0.125;
  header.model.rope = "default theta 10000";
  return header;
}

class ContainerRefusalTest : public ::testing::Test {
 protected:
  ContainerRefusalTest() {
    cache_save(cache_, header_of("qwen3", "3f2a00"), path_);
    bytes_ = test::read_file(path_);
  }

  std::string refusal(std::string_view bytes) const {
    return error_text<FormatError>(
        [&] { container_read(test::as_bytes(bytes), "book.kvc", nullptr, nullptr); });
  }

  /// The refusal of the good file after a change that its checksums do not show.
  template <class F>
  std::string refusal_after(F&& change) const {
    Forgery forgery(bytes_);
    change(forgery);
    forgery.write(path_);
    return error_text<FormatError>([&] { cache_load(path_); });
  }

  std::string mismatch(const ModelIdentity* model, const CacheShape* shape) const {
    return error_text<Mismatch>([&] { cache_load(path_, model, shape); });
  }

  test::ScratchFolder folder_;
  std::filesystem::path path_ = folder_.path() / "book.kvc";
  KvCache cache_ = test::rich_cache(DType::bf16);
  std::string bytes_;
};

TEST_F(ContainerRefusalTest, AnUnchangedForgeryLoads) {
  EXPECT_EQ(refusal_after([](Forgery&) {}), "");
}

TEST_F(ContainerRefusalTest, TruncatedFiles) {
  for (size_t size = 0; size < bytes_.size(); size += 1 + size / 50)
    EXPECT_NE(refusal(std::string_view(bytes_).substr(0, size)), "") << size;
  EXPECT_EQ(refusal(std::string_view(bytes_).substr(0, bytes_.size() - 1)),
            fmt::format("[kvc.load] book.kvc: truncated: {} of {} bytes", bytes_.size() - 1,
                        bytes_.size()));
  uint64_t header = 0;
  std::memcpy(&header, bytes_.data(), sizeof header);
  EXPECT_EQ(refusal(std::string_view(bytes_).substr(0, 100)),
            fmt::format("[kvc.load] book.kvc: truncated: 100 of at least {} bytes", 8 + header));
  EXPECT_NE(refusal(bytes_ + "x"), "");
}

TEST_F(ContainerRefusalTest, AFlippedByteInAnyTensor) {
  const auto file = SafetensorsFile::parse(test::as_bytes(bytes_), "x");
  int checksums = 0;
  for (const StoredTensor& tensor : file.tensors()) {
    if (tensor.data.empty()) continue;
    std::string bad = bytes_;
    const auto at = static_cast<size_t>(tensor.data.data() - test::as_bytes(bytes_).data());
    bad[at + tensor.data.size() / 2] ^= 1;
    const std::string text = refusal(bad);
    EXPECT_NE(text.find(tensor.name), std::string::npos) << tensor.name << ": " << text;
    checksums += text.find("checksum of " + tensor.name + " is ") != std::string::npos;
  }
  EXPECT_GT(checksums, 20);
}

TEST_F(ContainerRefusalTest, AWrongChecksumIsShownShort) {
  const std::string text = refusal_after([](Forgery& f) {
    f.fix_checksums = false;
    f.document["checksums"]["seg.0.2.k"] = "9c8d000000000000";
  });
  EXPECT_EQ(text.substr(0, 48),
            "[kvc.load] book.kvc: checksum of seg.0.2.k is " + text.substr(46, 2));
  EXPECT_TRUE(text.ends_with(".., header says 9c8d..")) << text;
}

TEST_F(ContainerRefusalTest, AFlippedByteAnywhereInTheHeader) {
  uint64_t header = 0;
  std::memcpy(&header, bytes_.data(), sizeof header);
  const size_t end = bytes_.substr(0, 8 + header).find_last_not_of(' ') + 1;
  // Another minor version is legal; the version is the one text without a hash.
  const size_t minor = bytes_.find(R"("version":"1.0")") + std::strlen(R"("version":"1.)");
  for (size_t at = 0; at < end; at += 7) {
    if (at == minor) continue;
    std::string bad = bytes_;
    bad[at] ^= 1;
    EXPECT_NE(refusal(bad), "") << at << " " << bytes_.substr(at, 20);
  }
}

TEST_F(ContainerRefusalTest, OtherModels) {
  const ModelIdentity same = header_of("qwen3", "3f2a00").model;
  EXPECT_EQ(mismatch(&same, &cache_.shape()), "");
  const ModelIdentity silent;
  EXPECT_EQ(mismatch(&silent, &cache_.shape()), "") << "what is not stated is not compared";
  const ModelIdentity other = header_of("llama", "91bcff").model;
  const CacheShape small{8, 64, DType::bf16, std::vector<LayerKind>(16)};
  EXPECT_EQ(mismatch(&other, &small),
            "[kvc.load] book.kvc: made for qwen3 5L/3KV/8D fingerprint 3f2a.., this model is llama "
            "16L/8KV/64D fingerprint 91bc..; compact the source again");
  const ModelIdentity retrained = header_of("qwen3", "91bcff").model;
  EXPECT_EQ(mismatch(&retrained, nullptr),
            "[kvc.load] book.kvc: made for qwen3 5L/3KV/8D fingerprint 3f2a.., this model is qwen3 "
            "fingerprint 91bc..; compact the source again");
  EXPECT_NE(mismatch(nullptr, &small), "");
}

TEST_F(ContainerRefusalTest, ModelsThatDifferInOneFact) {
  const auto model_error = [&](auto&& change) {
    ModelIdentity model = header_of("qwen3", "3f2a00").model;
    change(model);
    return mismatch(&model, nullptr);
  };
  EXPECT_EQ(
      model_error([](ModelIdentity& m) { m.query_heads = 12; }),
      "[kvc.load] book.kvc: made for 6 query heads, this model has 12; compact the source again");
  EXPECT_EQ(
      model_error([](ModelIdentity& m) { m.scale = 0.5; }),
      "[kvc.load] book.kvc: made for softmax scale 0.125, this model has 0.5; compact the source "
      "again");
  EXPECT_NE(model_error([](ModelIdentity& m) { m.rope = "yarn"; }).find("rotary"),
            std::string::npos);
  const auto shape_error = [&](auto&& change) {
    CacheShape shape = cache_.shape();
    change(shape);
    return mismatch(nullptr, &shape);
  };
  EXPECT_EQ(
      shape_error([](CacheShape& s) { s.layers[1].window = 10; }),
      "[kvc.load] book.kvc: layer 1 is ring of window 9, in this model ring of window 10; compact "
      "the source again");
  EXPECT_EQ(
      shape_error([](CacheShape& s) { s.dtype = DType::f32; }),
      "[kvc.load] book.kvc: holds BF16 keys and values, this model's cache is F32; load the model "
      "in that type or compact the source again");
}

TEST_F(ContainerRefusalTest, OtherVersionsAndFormats) {
  const auto with = [&](const char* key, const char* value) {
    return refusal_after([&](Forgery& f) { f.metadata[key] = value; });
  };
  EXPECT_EQ(with("version", "2.0"), "[kvc.load] book.kvc: format 2.0, this build reads 1.x");
  EXPECT_EQ(with("version", "0.9"), "[kvc.load] book.kvc: format 0.9, this build reads 1.x");
  EXPECT_EQ(with("version", "1.7"), "") << "higher minor versions load";
  for (const char* bad : {"", "1", "1.", ".0", "1.0.0", "1.0 ", " 1.0", "+1.0", "1.-1", "one",
                          "99999999999999999999.0"})
    EXPECT_NE(with("version", bad).find("version must be major.minor"), std::string::npos) << bad;
  EXPECT_EQ(with("format", "pt"),
            "[kvc.load] book.kvc: no .kvc file; metadata format must be kvc, found \"pt\"");
  for (const char* key : {"format", "version", "kvc", "kvc_xxh3"})
    EXPECT_EQ(with(key, "(absent)"),
              fmt::format("[kvc.load] book.kvc: no .kvc file; metadata {} is missing", key));
  EXPECT_EQ(with("kvc_xxh3", "12345678").substr(0, 57),
            "[kvc.load] book.kvc: checksum of the kvc document is " +
                with("kvc_xxh3", "12345678").substr(53, 4));
}

TEST_F(ContainerRefusalTest, UnknownFeaturesInAnyMinorVersion) {
  for (const char* version : {"1.0", "1.3"})
    EXPECT_EQ(refusal_after([&](Forgery& f) {
                f.metadata["version"] = version;
                f.document["features"] = {"int8-channel"};
              }),
              "[kvc.load] book.kvc: needs feature \"int8-channel\"");
  EXPECT_NE(refusal_after([](Forgery& f) { f.document["codecs"]["seg.0.0.k"] = "zstd"; }), "");
}

TEST_F(ContainerRefusalTest, LaterMinorVersionsMayAddFieldsAndTensors) {
  const auto add = [](Forgery& f) {
    f.document["news"] = 1;
    f.tensors["news"] = {DType::u8, {3}, "abc"};
    f.document["checksums"]["news"] = "";
  };
  EXPECT_EQ(refusal_after([&](Forgery& f) {
              add(f);
              f.metadata["version"] = "1.2";
            }),
            "");
  EXPECT_EQ(refusal_after(add),
            "[kvc.load] book.kvc: tensor \"news\" belongs to no segment or ring");
}

TEST_F(ContainerRefusalTest, EveryMissingFieldIsNamed) {
  const nlohmann::json document = Forgery(bytes_).document;
  for (const auto& [key, unused] : document.items())
    EXPECT_EQ(refusal_after([&, k = key](Forgery& f) { f.document.erase(k); }),
              fmt::format("[kvc.load] book.kvc: field {} is missing", key));
  for (const auto& [key, unused] : document["model"].items())
    EXPECT_EQ(refusal_after([&, k = key](Forgery& f) { f.document["model"].erase(k); }),
              fmt::format("[kvc.load] book.kvc: field model.{} is missing", key));
  for (const auto& [key, unused] : document["segments"][1].items())
    EXPECT_EQ(refusal_after([&, k = key](Forgery& f) { f.document["segments"][1].erase(k); }),
              fmt::format("[kvc.load] book.kvc: field segments[1].{} is missing", key));
}

TEST_F(ContainerRefusalTest, EveryFieldOfAWrongType) {
  const nlohmann::json document = Forgery(bytes_).document;
  const nlohmann::json wrong = {{"deep", {1, {{"deeper", true}}}}};
  for (const auto& [key, value] : document.items()) {
    if (value.is_object()) continue;
    EXPECT_NE(refusal_after([&, k = key](Forgery& f) { f.document[k] = wrong; }), "") << key;
  }
  for (const auto& [key, value] : document.items())
    EXPECT_NE(refusal_after([&, k = key](Forgery& f) {
                f.fix_checksums = k != "checksums";
                f.document[k] = 0.5;
              }),
              "")
        << key;
}

TEST_F(ContainerRefusalTest, NumbersOutOfRange) {
  const auto with = [&](const char* pointer, const nlohmann::json& value) {
    return refusal_after(
        [&](Forgery& f) { f.document[nlohmann::json::json_pointer(pointer)] = value; });
  };
  EXPECT_EQ(
      with("/model/kv_heads", 0),
      "[kvc.load] book.kvc: field model.kv_heads must be an integer in [1, 1048576]; found 0");
  EXPECT_NE(with("/model/kv_heads", 4), "");
  EXPECT_NE(with("/model/head_dim", 18446744073709551615ull), "");
  EXPECT_NE(with("/model/head_dim", 9), "");
  EXPECT_NE(with("/model/layers", 4), "");
  EXPECT_NE(with("/logical_length", 317), "");
  EXPECT_NE(with("/logical_length", -1), "");
  EXPECT_NE(with("/logical_length", 1099511627776), "");
  EXPECT_NE(with("/layers/1/window", 0), "");
  EXPECT_NE(with("/layers/1/window", 8), "") << "the ring holds more";
  EXPECT_NE(with("/layers/0/kind", "ring"), "");
  EXPECT_NE(with("/layers/0/kind", "half"), "");
  EXPECT_NE(with("/dtype", "F16"), "");
  EXPECT_NE(with("/dtype", "F32"), "");
  EXPECT_NE(with("/protected/0/1", 319), "");
  EXPECT_NE(with("/protected/0/0", 5), "") << "ends before it begins";
  EXPECT_NE(with("/segments/0/end", 269), "");
  EXPECT_NE(with("/segments/1/begin", 271), "");
  EXPECT_NE(with("/segments/3/end", 319), "");
  EXPECT_NE(with("/segments/0/state", "molten"), "");
  EXPECT_NE(with("/segments/0/lengths/0/0", 3), "");
  EXPECT_NE(with("/segments/0/lengths/1", nlohmann::json{1, 1, 1}), "") << "a ring";
  EXPECT_NE(with("/segments/3/generation", 1), "") << "no tail";
  EXPECT_NE(with("/segments/0/options/ratio", 0.5), "");
  EXPECT_NE(with("/tokens/block", 128), "");
  EXPECT_NE(with("/tokens/stored", false), "");
  EXPECT_NE(with("/tokens/blocks/0", "00"), "");
  EXPECT_NE(with("/tokens/blocks", nlohmann::json::array()), "");
}

TEST_F(ContainerRefusalTest, AChecksumThatIsNone) {
  EXPECT_EQ(
      refusal_after([](Forgery& f) {
        f.fix_checksums = false;
        f.document["checksums"]["tokens"] = "XYZ";
      }),
      "[kvc.load] book.kvc: field checksums of tensor \"tokens\" must be 16 lower-case hex digits; "
      "found \"XYZ\"");
}

TEST_F(ContainerRefusalTest, WindowsThatNothingVouchesFor) {
  EXPECT_EQ(
      refusal_after([](Forgery& f) { f.document["layers"][1]["window"] = 2147483647; }),
      "[kvc.load] book.kvc: the windows of its rings need more than 4294967296 bytes; load it with "
      "its model");
}

TEST_F(ContainerRefusalTest, LyingOffsets) {
  const auto with = [&](size_t index, int64_t value) {
    return refusal_after([&](Forgery& f) { f.set<int64_t>("seg.0.0.offsets", index, value); });
  };
  EXPECT_EQ(with(0, 1), "[kvc.load] book.kvc: seg.0.0.offsets must start at 0; found 1");
  EXPECT_EQ(with(2, 1), "[kvc.load] book.kvc: seg.0.0.offsets must not fall; found 1 after 2");
  EXPECT_EQ(
      with(2, 4),
      "[kvc.load] book.kvc: seg.0.0.offsets must give head 1 the 1 slots of the header; found 2");
  EXPECT_NE(with(3, int64_t{1} << 62), "");
  EXPECT_NE(with(1, -1), "");
  // Header and offsets agree, the rows do not.
  EXPECT_EQ(refusal_after([](Forgery& f) {
              f.document["segments"][0]["lengths"][0][2] = 5;
              f.set<int64_t>("seg.0.0.offsets", 3, 8);
            }),
            "[kvc.load] book.kvc: seg.0.0.k must be BF16 [8,8]; found BF16 [3,8]");
}

TEST_F(ContainerRefusalTest, PositionsOutsideTheSpan) {
  const auto with = [&](const char* tensor, size_t index, int32_t value) {
    return refusal_after([&](Forgery& f) { f.set<int32_t>(tensor, index, value); });
  };
  EXPECT_EQ(with("seg.0.0.pos", 1, 270),
            "[kvc.load] book.kvc: seg.0.0.pos must lie in [0, 270); found 270 in row 1");
  EXPECT_NE(with("seg.1.2.pos", 0, 269), "");
  EXPECT_NE(with("seg.0.0.pos", 0, -1), "");
  EXPECT_NE(with("seg.3.0.pos", 1, 305).find("it is the tail"), std::string::npos);
  EXPECT_EQ(with("ring.1.pos", 2, 999),
            "[kvc.load] book.kvc: ring.1.pos must count up from 310; found 999 in row 2");
}

TEST_F(ContainerRefusalTest, BetaThatIsNotFinite) {
  for (const float value : {HUGE_VALF, -HUGE_VALF, NAN})
    EXPECT_EQ(
        refusal_after([&](Forgery& f) { f.set<float>("seg.0.2.beta", 1, value); }),
        fmt::format("[kvc.load] book.kvc: seg.0.2.beta must be finite; found {} in row 1", value));
}

TEST_F(ContainerRefusalTest, MissingAndUnknownTensors) {
  for (const auto& [name, unused] : Forgery(bytes_).tensors)
    EXPECT_EQ(refusal_after([&, n = name](Forgery& f) { f.tensors.erase(n); }),
              fmt::format("[kvc.load] book.kvc: tensor \"{}\" is missing", name));
  EXPECT_EQ(refusal_after([](Forgery& f) { f.document["checksums"].erase("ring.1.k"); }),
            "[kvc.load] book.kvc: tensor \"ring.1.k\" has no checksum in the header");
  EXPECT_NE(refusal_after([](Forgery& f) {
              f.tensors["seg.1.0.betta"] = f.tensors["seg.0.0.pos"];
              f.document["checksums"]["seg.1.0.betta"] = "";
            }),
            "");
}

TEST_F(ContainerRefusalTest, TensorsOfAnotherTypeOrShape) {
  EXPECT_EQ(refusal_after([](Forgery& f) { f.tensors["seg.0.0.pos"].dtype = DType::f32; }),
            "[kvc.load] book.kvc: seg.0.0.pos must be I32 [3]; found F32 [3]");
  EXPECT_EQ(refusal_after([](Forgery& f) { f.tensors["seg.0.0.k"].dtype = DType::f16; }),
            "[kvc.load] book.kvc: seg.0.0.k must be BF16 [3,8]; found F16 [3,8]");
  EXPECT_EQ(refusal_after([](Forgery& f) { f.tensors["tokens"].dtype = DType::f32; }),
            "[kvc.load] book.kvc: tokens must be I32 [318]; found F32 [318]");
  EXPECT_NE(refusal_after([](Forgery& f) { f.tensors["seg.0.0.v"].shape = {8, 3}; }), "");
  EXPECT_NE(refusal_after([](Forgery& f) { f.tensors["seg.0.0.v"].shape = {24}; }), "");
  EXPECT_NE(refusal_after([](Forgery& f) { f.tensors["ring.1.k"].shape = {8, 3, 8}; }), "");
  EXPECT_EQ(refusal_after([](Forgery& f) {
              f.tensors["ring.1.pos"].shape = {8, 1};
            }),
            "[kvc.load] book.kvc: ring.1.pos must be I32 [any]; found I32 [8,1]");
}

TEST_F(ContainerRefusalTest, ATailWithABias) {
  EXPECT_NE(refusal_after([](Forgery& f) {
              f.tensors["seg.3.0.beta"] = {DType::f32, {39}, std::string(39 * 4, '\0')};
              f.document["checksums"]["seg.3.0.beta"] = "";
            }).find("it is the tail"),
            std::string::npos);
}

TEST_F(ContainerRefusalTest, HostileTextsStayShortAndPlain) {
  const std::string text = refusal_after(
      [](Forgery& f) { f.document["features"] = {std::string(1000, 'x') + "\x1b[2J"}; });
  EXPECT_LT(text.size(), 200u);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace limbeck
