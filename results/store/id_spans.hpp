// Rows of many ids, read where they lie. Thread safety: functions use the caller's connection and nothing
// else.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::results {

/// Ids that lie close together, ends included.
struct IdSpan {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

/// Of ascending ids. One statement over a span costs a fraction of one per id, even with some rows that
/// nobody wants in between.
[[nodiscard]] inline std::vector<IdSpan> spans_of(const std::vector<std::int64_t>& ids) {
  constexpr std::int64_t kMaxGap = 8;
  std::vector<IdSpan> spans;
  for (const std::int64_t id : ids) {
    if (spans.empty() || id - spans.back().last > kMaxGap) spans.push_back({id, id});
    spans.back().last = id;
  }
  return spans;
}

/// Runs a statement with the ends of each span as its two parameters; `take` gets every row.
template <class Take>
[[nodiscard]] Status read_spans(db::Connection& connection, std::string_view sql,
                                const std::vector<IdSpan>& spans, Take take) {
  GAUNTLET_TRY(db::Statement * statement, connection.cached(sql));
  for (const IdSpan& span : spans) {
    GAUNTLET_CHECK_OK(statement->bind_all(span.first, span.last));
    while (true) {
      GAUNTLET_TRY(const bool row, statement->step());
      if (!row) break;
      GAUNTLET_CHECK_OK(take(*statement));
    }
  }
  return {};
}

/// Ascending ids, asked for in ascending order. The ids outlive it.
class AscendingIds {
 public:
  explicit AscendingIds(const std::vector<std::int64_t>& ids) : at_(ids.begin()), end_(ids.end()) {}

  [[nodiscard]] bool contain(std::int64_t id) {
    while (at_ != end_ && *at_ < id) ++at_;
    return at_ != end_ && *at_ == id;
  }

 private:
  std::vector<std::int64_t>::const_iterator at_;
  std::vector<std::int64_t>::const_iterator end_;
};

}  // namespace gauntlet::results
