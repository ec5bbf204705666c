#include "worker/executor/outcome.hpp"

#include <algorithm>
#include <initializer_list>

#include "core/base/clipped.hpp"
#include "core/base/text.hpp"
#include "core/proto/convert.hpp"
#include "core/proto/frame.hpp"

namespace gauntlet::worker {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// Length of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none. (Unicode 15, table
/// 3-7.)
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t at = 1; at < length; ++at) {
    if (!is_continuation(text[at])) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second > 0x9F;
  const bool beyond = lead == 0xF4 && second > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

proto::Outcome outcome_of(const AttemptResult& result) {
  proto::Outcome outcome;
  for (const spec::ResultRow& row : result.rows) *outcome.add_rows() = proto::to_proto(row);
  for (const spec::Curve& curve : result.curves) *outcome.add_curves() = proto::to_proto(curve);
  outcome.set_manifest(result.manifest_hash);
  outcome.set_environment(result.environment);
  return outcome;
}

proto::Outcome outcome_of(const Error& error) {
  proto::Outcome outcome;
  outcome.set_code(static_cast<std::uint32_t>(error.code));
  outcome.set_message(valid_utf8(error.message));
  return outcome;
}

ErrorCode cause_of_exception(std::string_view text) {
  const auto says_any = [text](std::initializer_list<std::string_view> words) {
    return std::any_of(words.begin(), words.end(),
                       [text](std::string_view word) { return text.find(word) != std::string_view::npos; });
  };
  // NCCL reports a device without memory too, so memory is asked for first.
  if (says_any({"out of memory", "an't allocate memory", "annot allocate memory"}))
    return ErrorCode::kOutOfMemory;
  if (says_any({"NCCL error", "ncclSystemError", "ncclRemoteError", "ncclInternalError", "[c10d]",
                "Connection closed by peer"}))
    return ErrorCode::kCollective;
  if (says_any({"uncorrectable ECC error", "uncorrectable NVLink error", "hardware stack error",
                "no CUDA-capable device", "devices are busy or unavailable", "device(s) is/are busy",
                "system not yet initialized", "GPU is lost"}))
    return ErrorCode::kIo;
  return ErrorCode::kInternal;
}

Status check_size(const proto::Outcome& outcome) {
  const std::size_t n_bytes = outcome.ByteSizeLong();
  if (n_bytes <= proto::kMaxOutcomeBytes) return {};
  std::string name = "the environment";
  std::size_t largest = outcome.environment().size();
  const auto consider = [&](std::string_view kind, const std::string& part, std::size_t size) {
    if (size <= largest) return;
    name = fmt::format("{} '{}'", kind, clipped(part, 100));
    largest = size;
  };
  for (const proto::Row& row : outcome.rows()) consider("metric", row.metric(), row.ByteSizeLong());
  for (const proto::Curve& curve : outcome.curves()) consider("curve", curve.name(), curve.ByteSizeLong());
  return fail(ErrorCode::kInvalid,
              "the attempt's {} and {} have {} bytes; a report may have {} (the largest: {} with {} bytes)",
              count_of(static_cast<std::size_t>(outcome.rows_size()), "number"),
              count_of(static_cast<std::size_t>(outcome.curves_size()), "curve"), n_bytes,
              proto::kMaxOutcomeBytes, name, largest);
}

std::string valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) {
      valid += '?';
      text.remove_prefix(1);
    } else {
      valid += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return valid;
}

}  // namespace gauntlet::worker
