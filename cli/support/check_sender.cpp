#include "cli/support/check_sender.hpp"

namespace gauntlet::cli {
namespace {

/// A message is sent when it has this much: far below the limit of a frame.
constexpr std::size_t kMessageBytes = std::size_t{1} << 20;
constexpr Milliseconds kStoreTimeout{120'000};

void write(const results::CheckRow& row, proto::CheckRow& message) {
  message.set_dataset(row.subject.dataset);
  message.set_model(row.subject.model);
  message.set_bits(row.subject.bits);
  message.set_defense(row.subject.defense);
  message.set_direction(row.subject.direction);
  message.set_variant(row.subject.variant);
  message.set_seed(row.subject.seed);
  message.set_check(row.check);
  message.set_verdict(row.verdict);
  if (row.epsilon) message.set_epsilon(*row.epsilon);
  if (row.delta) message.set_delta(*row.delta);
  if (row.ci_low) message.set_ci_low(*row.ci_low);
  if (row.ci_high) message.set_ci_high(*row.ci_high);
  message.set_n(row.n);
  message.set_sentence(row.sentence);
  message.set_revision(row.revision);
}

Status send(client::Client& client, proto::Frame frame) {
  GAUNTLET_TRY(const proto::Frame answer, client.request(std::move(frame), kStoreTimeout));
  if (answer.has_accepted()) return {};
  return fail(ErrorCode::kInternal, "the coordinator answered with '{}', which was not asked for",
              proto::name_of(answer.body_case()));
}

proto::Frame part_of(const std::string& sweep) {
  proto::Frame frame;
  frame.mutable_store_checks()->set_sweep(sweep);
  return frame;
}

}  // namespace

Status send_checks(client::Client& client, const std::string& sweep,
                   std::span<const results::CheckRow> rows) {
  proto::Frame frame = part_of(sweep);
  std::size_t n_bytes = 0;
  for (const results::CheckRow& row : rows) {
    proto::CheckRow& message = *frame.mutable_store_checks()->add_rows();
    write(row, message);
    n_bytes += message.ByteSizeLong();
    if (n_bytes < kMessageBytes) continue;
    frame.mutable_store_checks()->set_more(true);
    GAUNTLET_CHECK_OK(send(client, std::move(frame)));
    frame = part_of(sweep);
    n_bytes = 0;
  }
  return send(client, std::move(frame));
}

}  // namespace gauntlet::cli
