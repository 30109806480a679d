#include "limbeck/text/tokenizer_impl.h"
#include "limbeck/text/utf8.h"

namespace limbeck {

std::string StreamDecoder::push(TokenId id) {
  DecodeState state{started_, stripped_, strip_done_};
  pending_ += tokenizer_.impl_->decode(id, skip_special_, state);
  started_ = state.started;
  stripped_ = state.stripped;
  strip_done_ = state.strip_done;
  const size_t certain = pending_.size() - unfinished_utf8_tail(pending_);
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, certain));
  pending_.erase(0, certain);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = replace_invalid_utf8(pending_);
  pending_.clear();
  started_ = strip_done_ = false;
  stripped_ = 0;
  return text;
}

}  // namespace limbeck
