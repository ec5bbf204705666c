// Reports the coordinator has not acknowledged: kept until it says they are settled, and sent again after
// every reconnection. Thread safety: everything happens on the thread that runs the io_context.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "schemas/protocol.pb.h"

namespace gauntlet::worker {

class Reports {
 public:
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
  std::map<std::uint64_t, proto::Report> reports_;  ///< by lease id
  std::vector<std::uint64_t> unsent_;
};

}  // namespace gauntlet::worker
