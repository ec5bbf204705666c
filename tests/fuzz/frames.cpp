// A peer's byte stream: first byte, how many bytes arrive at once; then the stream.
#include "core/base/check.hpp"
#include "core/proto/convert.hpp"
#include "core/proto/frame.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {
namespace {

void read_parts(const proto::Frame& frame) {
  for (const proto::Job& job : frame.submit_chunk().jobs()) {
    static_cast<void>(proto::key_from_bytes(job.key()));
    const auto resources = proto::resources_from(job.resources());
    if (resources) GAUNTLET_CHECK(proto::resources_from(proto::to_proto(*resources)) == *resources);
  }
  for (const proto::Report& report : frame.report_batch().reports()) {
    for (const proto::Row& row : report.outcome().rows()) {
      const auto read = proto::row_from(row);
      GAUNTLET_CHECK(read.has_value() == (row.per_query().size() % 4 == 0));
      if (read) GAUNTLET_CHECK(proto::to_proto(*read).per_query() == row.per_query());
    }
    for (const proto::Curve& curve : report.outcome().curves()) {
      const auto read = proto::curve_from(curve);
      if (read) GAUNTLET_CHECK(proto::to_proto(*read).y() == curve.y());
    }
  }
  static_cast<void>(proto::error_of(frame.failure()));
}

/// What was read can be written, and is then read as the same.
void repeat(const proto::Frame& frame) {
  const auto written = proto::encode_frame(frame);
  GAUNTLET_CHECK(written.has_value());
  const auto again = proto::decode_payload(std::string_view(*written).substr(proto::kFrameHeaderBytes));
  GAUNTLET_CHECK(again.has_value());
  GAUNTLET_CHECK(again->body_case() == frame.body_case() && again->id() == frame.id());
}

}  // namespace

void frames(Bytes bytes) {
  if (bytes.empty()) return;
  const std::size_t n_at_once = 1 + bytes[0];
  std::string_view rest = text_of(bytes.subspan(1));
  proto::FrameReader reader;
  bool broken = false;
  while (!rest.empty()) {
    reader.feed(rest.substr(0, n_at_once));
    rest.remove_prefix(std::min(rest.size(), n_at_once));
    auto frame = reader.next();
    for (; frame && *frame; frame = reader.next()) {
      GAUNTLET_CHECK(!broken);
      read_parts(**frame);
      repeat(**frame);
    }
    GAUNTLET_CHECK(!broken || !frame);
    broken = !frame;
  }
}

}  // namespace gauntlet::fuzz
