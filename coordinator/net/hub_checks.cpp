// Verdicts of robustness checks, judged by a client and kept beside what they are about.
#include <spdlog/logger.h>

#include <utility>

#include "coordinator/net/hub.hpp"
#include "core/base/clipped.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using results::CheckRow;

/// Of one sweep: they are kept in memory until the last part.
constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

CheckRow row_from(std::string sweep, proto::CheckRow& message) {
  const auto given = [](bool is_there, double value) {
    return is_there ? std::optional(value) : std::nullopt;
  };
  return {.sweep = std::move(sweep),
          .subject = {.dataset = std::move(*message.mutable_dataset()),
                      .model = std::move(*message.mutable_model()),
                      .bits = message.bits(),
                      .defense = std::move(*message.mutable_defense()),
                      .direction = std::move(*message.mutable_direction()),
                      .variant = std::move(*message.mutable_variant()),
                      .seed = message.seed()},
          .check = std::move(*message.mutable_check()),
          .verdict = std::move(*message.mutable_verdict()),
          .epsilon = given(message.has_epsilon(), message.epsilon()),
          .delta = given(message.has_delta(), message.delta()),
          .ci_low = given(message.has_ci_low(), message.ci_low()),
          .ci_high = given(message.has_ci_high(), message.ci_high()),
          .n = message.n(),
          .sentence = std::move(*message.mutable_sentence()),
          .revision = std::move(*message.mutable_revision())};
}

/// Another sweep than the one whose rows are arriving starts anew.
Status add_rows(proto::StoreChecks& message, PendingChecks& pending) {
  if (pending.sweep != message.sweep()) pending = {.sweep = message.sweep()};
  pending.n_bytes += message.ByteSizeLong();
  if (pending.n_bytes > kMaxBytes) {
    pending = {};
    return fail(ErrorCode::kInvalid, "the verdicts on sweep '{}' are larger than {} bytes",
                clipped(message.sweep(), 100), kMaxBytes);
  }
  for (proto::CheckRow& row : *message.mutable_rows()) pending.rows.push_back(row_from(message.sweep(), row));
  return {};
}

}  // namespace

asio::awaitable<Status> Hub::on_store_checks(SessionPtr session, Ask ask) {
  const Status added = add_rows(*ask.mutable_store_checks(), session->pending_checks);
  if (!added) co_return added;
  if (!ask.store_checks().more()) {
    auto checks = std::make_shared<PendingChecks>(std::exchange(session->pending_checks, {}));
    CommitQueue::Work<Status> work = [checks](store::JobStore& store) {
      return results::write_checks(store.connection(), checks->sweep, checks->rows);
    };
    const Status written = co_await queue_.asked(std::move(work));
    if (!written) co_return written;
    log_->info("sweep '{}': {} verdicts of robustness checks stored", checks->sweep, checks->rows.size());
  }
  proto::Frame accepted;
  accepted.set_id(ask.id());
  accepted.mutable_accepted();
  session->send(accepted);
  co_return Status{};
}

}  // namespace gauntlet::coordinator
