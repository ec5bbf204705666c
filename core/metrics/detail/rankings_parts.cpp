// Rankings of some of the queries, made elsewhere, and their way there.
#include <algorithm>
#include <cstring>

#include "core/metrics/detail/histogram.hpp"

namespace gauntlet::metrics {
namespace {

class Writer {
 public:
  template <class T>
  void put(const std::vector<T>& values) {
    put(values.size());
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }
  void put(std::uint64_t number) { bytes_.append(reinterpret_cast<const char*>(&number), sizeof number); }
  [[nodiscard]] std::string finish() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Everything after the first mistake is empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t number() {
    std::uint64_t number = 0;
    if (!take(&number, sizeof number)) number = 0;
    return number;
  }
  template <class T>
  void get(std::vector<T>& values) {
    const std::uint64_t n = number();
    good_ = good_ && n <= bytes_.size() / sizeof(T);
    if (!good_) return;
    values.resize(static_cast<std::size_t>(n));
    static_cast<void>(take(values.data(), values.size() * sizeof(T)));
  }
  [[nodiscard]] bool is_whole() const { return good_ && bytes_.empty(); }

 private:
  [[nodiscard]] bool take(void* target, std::size_t n_bytes) {
    good_ = good_ && n_bytes <= bytes_.size();
    if (!good_) return false;
    if (n_bytes > 0) std::memcpy(target, bytes_.data(), n_bytes);
    bytes_.remove_prefix(n_bytes);
    return true;
  }

  std::string_view bytes_;
  bool good_ = true;
};

}  // namespace

template <class Self, class Other, class Visit>
void Rankings::for_each_list(Self& self, Other& other, const Visit& visit) {
  visit(self.items_, other.items_);
  for (std::size_t side = 0; side < 2; ++side) {
    visit(self.sides_[side].relevant, other.sides_[side].relevant);
    visit(self.sides_[side].stable, other.sides_[side].stable);
    visit(self.sides_[side].n_relevant, other.sides_[side].n_relevant);
  }
  visit(self.graded_, other.graded_);
  visit(self.stable_grades_, other.stable_grades_);
}

template <class Self, class Other, class Visit>
void Rankings::for_each_begins(Self& self, Other& other, const Visit& visit) {
  visit(self.graded_begins_, other.graded_begins_);
  visit(self.grades_begins_, other.grades_begins_);
}

std::string Rankings::to_bytes() const {
  Writer writer;
  for (const std::int64_t number : {n_queries_, n_retrieval_, bits_})
    writer.put(static_cast<std::uint64_t>(number));
  const auto put = [&](const auto& values, const auto&) { writer.put(values); };
  for_each_list(*this, *this, put);
  for_each_begins(*this, *this, put);
  return writer.finish();
}

Result<Rankings> Rankings::from_bytes(std::string_view bytes, int n_threads) {
  Reader reader(bytes);
  Rankings rankings;
  rankings.n_threads_ = std::max(1, n_threads);
  for (std::int64_t* const number : {&rankings.n_queries_, &rankings.n_retrieval_, &rankings.bits_})
    *number = static_cast<std::int64_t>(reader.number());
  const auto get = [&](auto& values, const auto&) { reader.get(values); };
  for_each_list(rankings, rankings, get);
  for_each_begins(rankings, rankings, get);
  if (!reader.is_whole() || !rankings.is_consistent())
    return fail(ErrorCode::kCorrupt, "{} bytes are no rankings of another rank", bytes.size());
  return rankings;
}

bool Rankings::is_consistent() const {
  if (n_queries_ < 1 || n_retrieval_ < 1 || bits_ < 1 || bits_ > kMaxCodeBits) return false;
  const auto n = static_cast<std::size_t>(n_queries_);
  const std::size_t n_counts = n * (static_cast<std::size_t>(bits_) + 1);
  bool good = items_.size() == n_counts && sides_[0].relevant.size() == n_counts;
  for (const Side& side : sides_) {
    good = good && side.relevant.size() == (side.n_relevant.empty() ? 0 : n_counts) &&
           (side.n_relevant.empty() || side.n_relevant.size() == n) &&
           (side.stable.empty() || side.stable.size() == n * n_rank_words());
  }
  const auto ends_with = [n](const std::vector<std::size_t>& begins, std::size_t n_entries) {
    if (begins.empty()) return n_entries == 0;
    return begins.size() == n + 1 && begins.front() == 0 && begins.back() == n_entries &&
           std::is_sorted(begins.begin(), begins.end());
  };
  return good && ends_with(graded_begins_, graded_.size()) &&
         ends_with(grades_begins_, stable_grades_.size());
}

Status Rankings::append(const Rankings& next) {
  bool alike = n_retrieval_ == next.n_retrieval_ && bits_ == next.bits_;
  const auto compare = [&](const auto& mine, const auto& theirs) {
    alike = alike && mine.empty() == theirs.empty();
  };
  for (std::size_t side = 0; side < 2; ++side) {
    compare(sides_[side].relevant, next.sides_[side].relevant);
    compare(sides_[side].stable, next.sides_[side].stable);
  }
  for_each_begins(*this, next, compare);
  if (!alike) {
    return fail(ErrorCode::kInvalid,
                "rankings of {} items by {} bits do not go on with those of {} items by {} bits, or other "
                "metrics were asked for",
                n_retrieval_, bits_, next.n_retrieval_, next.bits_);
  }
  for_each_list(*this, next, [](auto& mine, const auto& theirs) {
    mine.insert(mine.end(), theirs.begin(), theirs.end());
  });
  for_each_begins(*this, next, [](auto& mine, const auto& theirs) {
    if (mine.empty()) return;
    const std::size_t offset = mine.back();
    for (std::size_t at = 1; at < theirs.size(); ++at) mine.push_back(offset + theirs[at]);
  });
  n_queries_ += next.n_queries_;
  return {};
}

}  // namespace gauntlet::metrics
