/// The passes over attention features [rows, slots] that are not products, each over memory once.
///
/// Features are what fits choose and solve with (compact/fit/features.h): a few hundred rows of
/// queries by all slots of a head, tens of megabytes that every elementwise operation of a tensor
/// library reads and writes anew. All arithmetic is float32, sums of squares are float64. On the
/// calling thread.
#pragma once

#include "limbeck/model/kernels/bf16.h"

#include <cstdint>

namespace limbeck {

/// x = factor * exp(scale * x + bias - shift), and the squares of the result summed by column.
struct WeighFeatures {
  int64_t rows = 0, columns = 0;
  float* x = nullptr;             ///< [rows, columns] products of queries and keys; overwritten
  float scale = 1.0F;             ///< softmax scale
  const float* bias = nullptr;    ///< [columns] or null
  const float* shift = nullptr;   ///< [rows] log masses, finite
  const float* factor = nullptr;  ///< [rows] roots of the row weights
  double* squares = nullptr;      ///< [columns]
};
void weigh_features(const WeighFeatures& f);
void weigh_features_reference(const WeighFeatures& f);

/// turned = the transpose of x rounded to bf16, and the squares of what was rounded by column of x.
struct TurnFeatures {
  int64_t rows = 0, columns = 0;
  const float* x = nullptr;   ///< [rows, columns]
  Bf16* turned = nullptr;     ///< [columns, padded]; 0 behind the rows
  int64_t padded = 0;         ///< rows or more
  double* squares = nullptr;  ///< [columns]
};
void turn_features(const TurnFeatures& f);
void turn_features_reference(const TurnFeatures& f);

}  // namespace limbeck
