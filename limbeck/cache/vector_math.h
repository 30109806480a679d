#pragma once

namespace limbeck {

/// Calls once, on one thread, the vector functions that at:: hands to Intel MKL (exp, log, ...).
///
/// MKL chooses the code of each at its first call. Where that call comes from several threads at
/// once, as at::exp of more than a few thousand numbers does, one of them may run a variant with
/// four digits for its share of that one call: two in a hundred fresh processes got another result
/// (MKL 2024.2, which PyTorch's wheels carry; pytorch issue 188792). Objects that use the functions
/// call this while the program starts: `const bool settled = settle_vector_math();`.
///
/// Returns true. Safe from any thread.
bool settle_vector_math();

}  // namespace limbeck
