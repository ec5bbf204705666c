// Reports the coordinator has not acknowledged: kept until it says they are settled, and sent again after
// every reconnection. Those made in one turn of the loop leave together. While there is more to start anyway,
// they wait a moment for others, since every frame costs the coordinator a commit. Thread safety: everything
// happens on the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "schemas/protocol.pb.h"

namespace gauntlet::worker {

class Reports {
 public:
  /// `has_more` says whether there is more to start, `on_due` is called when what is unsent is to be sent.
  Reports(boost::asio::io_context& context, std::function<bool()> has_more, std::function<void()> on_due)
      : context_(context), pause_(context), has_more_(std::move(has_more)), on_due_(std::move(on_due)) {}

  void add(proto::Report report);
  /// Drops those the coordinator needs no further report of.
  void settle(std::uint64_t lease_id);
  /// All are to be sent again.
  void resend_all();
  /// What is to be sent now, in batches of a bounded size; empty when everything has been sent.
  [[nodiscard]] std::vector<proto::ReportBatch> take_unsent();

  [[nodiscard]] bool empty() const { return reports_.empty(); }
  [[nodiscard]] std::vector<proto::HeldLease> held() const;

 private:
  void send_or_wait();

  boost::asio::io_context& context_;
  boost::asio::steady_timer pause_;
  std::function<bool()> has_more_;
  std::function<void()> on_due_;
  bool is_posted_ = false;
  bool waits_ = false;
  std::map<std::uint64_t, proto::Report> reports_;  ///< by lease id
  std::vector<std::uint64_t> unsent_;
};

}  // namespace gauntlet::worker
