/// What a fuzz target supplies, and the driver that runs it where libFuzzer is absent.
///
/// Goals: the same run for the same seed on every machine; the failing input ends up in a file.
/// Non-goals: coverage (build with LIMBECK_LIBFUZZER for that), minimising inputs.
///
///   target --seconds N --seed S     mutates the seeds for N seconds; --runs N counts inputs
///   instead target --replay FILE            runs one input target --write-seeds FOLDER     writes
///   the seeds, as a corpus for libFuzzer
#pragma once

#include "limbeck/base/random.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Runs the code under test on one input. limbeck::Error (InternalError apart) is an expected
/// outcome, to be caught by the target; everything that leaves this function is a failure. Returns
/// 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

/// Inputs to start from: small, valid, and each with something that the others lack.
std::vector<std::string> fuzz_seeds();

namespace limbeck::fuzz {

/// Applies one to eight mutations: flipped bits, edge values of integers, edited lengths, inserted,
/// doubled, moved and removed bytes, pieces of `other`, changed numbers and symbols of JSON,
/// truncation.
void mutate(std::string& input, const std::string& other, Random& random);

}  // namespace limbeck::fuzz
