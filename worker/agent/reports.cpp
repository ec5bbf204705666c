#include "worker/agent/reports.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace gauntlet::worker {
namespace {

/// A batch is closed when it holds this much; one report alone may be larger.
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;
constexpr int kBatchReports = 512;
/// How long reports may wait for more of them.
constexpr std::chrono::milliseconds kPause{16};

}  // namespace

void Reports::add(proto::Report report) {
  const std::uint64_t lease_id = report.lease_id();
  unsent_.push_back(lease_id);
  reports_.insert_or_assign(lease_id, std::move(report));
  if (!std::exchange(is_posted_, true)) boost::asio::post(context_, [this] { send_or_wait(); });
}

/// Once what ended has made room for what comes next.
void Reports::send_or_wait() {
  is_posted_ = false;
  if (!has_more_()) {
    pause_.cancel();
    return on_due_();
  }
  if (std::exchange(waits_, true)) return;
  pause_.expires_after(kPause);
  pause_.async_wait([this](const boost::system::error_code& error) {
    waits_ = false;
    if (!error) on_due_();
  });
}

void Reports::settle(std::uint64_t lease_id) { reports_.erase(lease_id); }

void Reports::resend_all() {
  unsent_.clear();
  for (const auto& [id, report] : reports_) unsent_.push_back(id);
}

std::vector<proto::ReportBatch> Reports::take_unsent() {
  std::vector<proto::ReportBatch> batches;
  std::size_t bytes = 0;
  for (const std::uint64_t id : std::exchange(unsent_, {})) {
    const auto found = reports_.find(id);
    if (found == reports_.end()) continue;
    const std::size_t size = found->second.ByteSizeLong();
    if (batches.empty() || bytes + size > kBatchBytes || batches.back().reports_size() >= kBatchReports) {
      batches.emplace_back();
      bytes = 0;
    }
    bytes += size;
    *batches.back().add_reports() = found->second;
  }
  return batches;
}

std::vector<proto::HeldLease> Reports::held() const {
  std::vector<proto::HeldLease> all;
  for (const auto& [id, report] : reports_) {
    proto::HeldLease& held = all.emplace_back();
    held.set_job_id(report.job_id());
    held.set_lease_id(id);
    held.set_attempt(report.attempt());
  }
  return all;
}

}  // namespace gauntlet::worker
