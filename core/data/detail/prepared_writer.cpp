#include "core/data/detail/prepared_writer.hpp"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <thread>

#include "core/base/check.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/data/detail/growing_array.hpp"
#include "core/data/detail/prepare_journal.hpp"
#include "core/io/npy.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::int64_t kMaxRowsPerBlock = 256;
constexpr std::int64_t kMaxBlockBytes = std::int64_t{48} << 20;
constexpr std::size_t kMaxListed = 1000;  // dropped rows and remarks that dataset.json names one by one

/// A text that JSON can hold, so that what is kept in memory and what is read back from the journal agree.
std::string as_utf8(const std::string& text) {
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

/// An array and the bytes of the block that is being made.
struct BlockArray {
  GrowingArray file;
  std::vector<std::byte> block;

  template <class T>
  std::span<T> row(std::int64_t at) {
    const auto n_bytes = static_cast<std::size_t>(file.row_bytes());
    return {reinterpret_cast<T*>(block.data() + static_cast<std::size_t>(at) * n_bytes), n_bytes / sizeof(T)};
  }
};

class PreparedWriter {
 public:
  PreparedWriter(const std::filesystem::path& folder, const PreparedPlan& plan, int n_threads,
                 const ProgressFn& progress)
      : folder_(folder), plan_(plan), n_threads_(std::max(1, n_threads)), progress_(progress) {}

  Status run() {
    GAUNTLET_CHECK_OK(open());
    GAUNTLET_CHECK_OK(keep_finished_blocks());
    GAUNTLET_CHECK_OK(make_blocks());
    GAUNTLET_CHECK_OK(make_image_steps());
    return finish();
  }

 private:
  [[nodiscard]] bool by_steps() const { return plan_.image_steps.n_steps > 0; }
  [[nodiscard]] std::string image_name() const {
    return plan_.layout.feature_dim > 0 ? "image_features.npy" : "images.npy";
  }
  /// Arrays whose rows the fillers make.
  [[nodiscard]] std::vector<BlockArray*> row_arrays() {
    std::vector<BlockArray*> arrays = {&text_, &labels_};
    if (!by_steps()) arrays.insert(arrays.begin(), &images_);
    return arrays;
  }

  Status open();
  [[nodiscard]] Status check_strict(const JournalBlock& block) const;
  Status keep_finished_blocks();
  Status make_blocks();
  Status make_block(std::int64_t block_idx);
  Result<std::vector<RowOutcome>> fill(std::int64_t first, std::int64_t n_rows);
  [[nodiscard]] RowOut row_out(std::int64_t at);
  Status check_row(std::int64_t row, const RowOut& out) const;
  Status append_block(std::int64_t first, const std::vector<RowOutcome>& outcomes);
  Status make_image_steps();
  Status finish();
  Result<KeptRows> kept_rows(const io::NpyArray& labels) const;
  [[nodiscard]] Status write_about(const KeptRows& kept, const std::vector<std::uint8_t>& split, Json hashes);
  void tell(double fraction, std::string_view phase) const {
    if (progress_) progress_(fraction, phase);
  }

  const std::filesystem::path& folder_;
  const PreparedPlan& plan_;
  const int n_threads_;
  const ProgressFn& progress_;
  std::unique_ptr<PrepareJournal> journal_;
  BlockArray images_, text_, labels_;
  std::vector<RowFiller> fillers_;
  std::int64_t rows_per_block_ = 1;
  std::int64_t n_blocks_ = 0;
};

Status PreparedWriter::open() {
  const PreparedLayout& layout = plan_.layout;
  GAUNTLET_CHECK(layout.feature_dim > 0 || (layout.height > 0 && layout.width > 0));
  const Json shape = {{"items", layout.n_items},
                      {"height", layout.height},
                      {"width", layout.width},
                      {"feature_dim", layout.feature_dim},
                      {"text_dim", layout.text_dim},
                      {"text_type", io::name_of(layout.text_type)},
                      {"labels", layout.n_labels},
                      {"steps", plan_.image_steps.n_steps},
                      {"rows_format", 1}};
  GAUNTLET_TRY(const std::string identity, canonical_json({{"about", plan_.about}, {"shape", shape}}));
  GAUNTLET_TRY(PrepareJournal journal,
               PrepareJournal::open(folder_, to_hex(sha256(identity)),
                                    {image_name(), "text.npy", "labels.npy", "split.npy", "dataset.json"}));
  journal_ = std::make_unique<PrepareJournal>(std::move(journal));

  const auto image_shape = layout.feature_dim > 0 ? std::vector<std::int64_t>{layout.feature_dim}
                                                  : std::vector<std::int64_t>{layout.height, layout.width, 3};
  const io::DType image_type = layout.feature_dim > 0 ? io::DType::kF32 : io::DType::kU8;
  GAUNTLET_TRY(images_.file, GrowingArray::open(folder_ / image_name(), image_type, image_shape));
  GAUNTLET_TRY(text_.file, GrowingArray::open(folder_ / "text.npy", layout.text_type, {layout.text_dim}));
  GAUNTLET_TRY(labels_.file, GrowingArray::open(folder_ / "labels.npy", io::DType::kU8, {layout.n_labels}));

  std::int64_t item_bytes = 1;
  for (const BlockArray* array : row_arrays()) item_bytes += array->file.row_bytes();
  rows_per_block_ = std::clamp(kMaxBlockBytes / item_bytes, std::int64_t{1}, kMaxRowsPerBlock);
  n_blocks_ = (layout.n_items + rows_per_block_ - 1) / rows_per_block_;
  return {};
}

Status PreparedWriter::check_strict(const JournalBlock& block) const {
  if (!plan_.strict || block.dropped.empty()) return {};
  return fail(ErrorCode::kCorrupt, "item {}: {}", block.dropped.front().first, block.dropped.front().second);
}

Status PreparedWriter::keep_finished_blocks() {
  const std::size_t n_finished = journal_->blocks().size();
  std::size_t n_good = 0;
  for (; n_good < n_finished; ++n_good) {
    const JournalBlock& block = journal_->blocks()[n_good];
    tell(static_cast<double>(n_good) / static_cast<double>(n_blocks_), "checking what is there");
    GAUNTLET_CHECK_OK(check_strict(block));
    Sha256 hash;
    std::vector<std::vector<std::byte>> found;
    for (const BlockArray* array : row_arrays()) {
      if (block.n_kept < 0 || block.n_kept > rows_per_block_) break;
      GAUNTLET_TRY(std::vector<std::byte> bytes, array->file.peek(block.n_kept));
      hash.update(bytes);
      found.push_back(std::move(bytes));
    }
    if (to_hex(hash.finish()) != block.sha256) break;
    for (std::size_t at = 0; at < found.size(); ++at) row_arrays()[at]->file.keep(found[at]);
  }
  GAUNTLET_CHECK_OK(journal_->keep_blocks(n_good));
  for (BlockArray* array : row_arrays()) GAUNTLET_CHECK_OK(array->file.cut());
  return {};
}

Status PreparedWriter::make_blocks() {
  const auto n_finished = static_cast<std::int64_t>(journal_->blocks().size());
  if (n_finished == n_blocks_) return {};
  for (int thread_idx = 0; thread_idx < n_threads_; ++thread_idx) fillers_.push_back(plan_.make_filler());
  for (std::int64_t block_idx = n_finished; block_idx < n_blocks_; ++block_idx) {
    GAUNTLET_CHECK_OK(make_block(block_idx));
    tell(static_cast<double>(block_idx + 1) / static_cast<double>(n_blocks_), "making pairs");
  }
  fillers_.clear();
  return {};
}

Status PreparedWriter::make_block(std::int64_t block_idx) {
  const std::int64_t first = block_idx * rows_per_block_;
  const std::int64_t n_rows = std::min(rows_per_block_, plan_.layout.n_items - first);
  for (BlockArray* array : row_arrays()) {
    array->block.assign(static_cast<std::size_t>(n_rows * array->file.row_bytes()), std::byte{0});
  }
  GAUNTLET_TRY(const auto outcomes, fill(first, n_rows));
  return append_block(first, outcomes);
}

RowOut PreparedWriter::row_out(std::int64_t at) {
  RowOut out;
  if (!by_steps() && plan_.layout.feature_dim > 0) out.features = images_.row<float>(at);
  if (!by_steps() && plan_.layout.feature_dim == 0) out.image = images_.row<std::uint8_t>(at);
  if (plan_.layout.text_type == io::DType::kU8) {
    out.text = text_.row<std::uint8_t>(at);
  } else {
    out.text_f32 = text_.row<float>(at);
  }
  out.labels = labels_.row<std::uint8_t>(at);
  return out;
}

Result<std::vector<RowOutcome>> PreparedWriter::fill(std::int64_t first, std::int64_t n_rows) {
  std::vector<RowOutcome> outcomes(static_cast<std::size_t>(n_rows));
  std::vector<Status> statuses(static_cast<std::size_t>(n_rows));
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&](RowFiller& filler) {
    for (std::int64_t at = next++; at < n_rows && !failed; at = next++) {
      const RowOut out = row_out(at);
      Result<RowOutcome> outcome = filler(first + at, out);
      Status& status = statuses[static_cast<std::size_t>(at)];
      if (outcome && outcome->dropped.empty()) status = check_row(first + at, out);
      if (!outcome) status = tl::make_unexpected(std::move(outcome.error()));
      if (!status) failed = true;
      if (outcome) outcomes[static_cast<std::size_t>(at)] = std::move(*outcome);
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t idx = 1; idx < fillers_.size(); ++idx) {
      helpers.emplace_back([&work, &filler = fillers_[idx]] { work(filler); });
    }
    work(fillers_.front());
  }
  for (const Status& status : statuses) GAUNTLET_CHECK_OK(status);
  return outcomes;
}

Status PreparedWriter::check_row(std::int64_t row, const RowOut& out) const {
  const auto check = [row](auto values, std::string_view what, auto is_good,
                           std::string_view allowed) -> Status {
    const auto wrong = std::ranges::find_if_not(values, is_good);
    if (wrong == values.end()) return {};
    return fail(ErrorCode::kInvalid, "item {}: {} {} is {}; allowed: {}", row, what, wrong - values.begin(),
                *wrong, allowed);
  };
  const auto is_bit = [](std::uint8_t value) { return value <= 1; };
  const auto is_finite = [](float value) { return std::isfinite(value); };
  GAUNTLET_CHECK_OK(check(out.labels, "label", is_bit, "0, 1"));
  GAUNTLET_CHECK_OK(check(out.text, "text dimension", is_bit, "0, 1"));
  GAUNTLET_CHECK_OK(check(out.text_f32, "text dimension", is_finite, "finite numbers"));
  return check(out.features, "image feature", is_finite, "finite numbers");
}

Status PreparedWriter::append_block(std::int64_t first, const std::vector<RowOutcome>& outcomes) {
  JournalBlock note;
  std::vector<std::size_t> kept;
  for (std::size_t at = 0; at < outcomes.size(); ++at) {
    const std::int64_t row = first + static_cast<std::int64_t>(at);
    const RowOutcome& outcome = outcomes[at];
    if (outcome.dropped.empty()) kept.push_back(at);
    if (!outcome.dropped.empty()) note.dropped.emplace_back(row, as_utf8(outcome.dropped));
    if (outcome.dropped.empty() && !outcome.remark.empty())
      note.remarks.emplace_back(row, as_utf8(outcome.remark));
  }
  GAUNTLET_CHECK_OK(check_strict(note));
  GAUNTLET_CHECK(!by_steps() || note.dropped.empty());
  Sha256 hash;
  for (BlockArray* array : row_arrays()) {
    const auto row_bytes = static_cast<std::size_t>(array->file.row_bytes());
    for (std::size_t to = 0; to < kept.size(); ++to) {
      if (kept[to] == to) continue;
      std::copy_n(array->block.begin() + static_cast<std::ptrdiff_t>(kept[to] * row_bytes), row_bytes,
                  array->block.begin() + static_cast<std::ptrdiff_t>(to * row_bytes));
    }
    array->block.resize(kept.size() * row_bytes);
    hash.update(array->block);
    GAUNTLET_CHECK_OK(array->file.append(array->block));
  }
  note.n_kept = static_cast<std::int64_t>(kept.size());
  note.sha256 = to_hex(hash.finish());
  return journal_->add(note);
}

Status PreparedWriter::make_image_steps() {
  if (!by_steps()) return {};
  const std::int64_t n_items = plan_.layout.n_items;
  const std::int64_t n_steps = plan_.image_steps.n_steps;
  GAUNTLET_CHECK_OK(images_.file.reserve(n_items));
  if (journal_->n_steps() < n_steps) {
    const auto length = static_cast<std::size_t>(kArrayHeaderBytes + n_items * images_.file.row_bytes());
    void* const at =
        ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, images_.file.descriptor(), 0);
    if (at == MAP_FAILED) return fail(system_error(errno, "map", images_.file.path()));
    const std::unique_ptr<void, std::function<void(void*)>> mapped(
        at, [length](void* address) { ::munmap(address, length); });
    const ImageMapping out(static_cast<std::byte*>(at) + kArrayHeaderBytes,
                           length - static_cast<std::size_t>(kArrayHeaderBytes));
    while (journal_->n_steps() < n_steps) {
      GAUNTLET_CHECK_OK(plan_.image_steps.write(journal_->n_steps(), out));
      out.release();
      GAUNTLET_CHECK_OK(journal_->add_step());
      tell(static_cast<double>(journal_->n_steps()) / static_cast<double>(n_steps), "writing pictures");
    }
  }
  return images_.file.adopt(n_items);
}

Result<KeptRows> PreparedWriter::kept_rows(const io::NpyArray& labels) const {
  KeptRows kept;
  kept.n_labels = plan_.layout.n_labels;
  GAUNTLET_TRY(kept.labels, labels.as<std::uint8_t>());
  std::int64_t next = 0;
  for (const JournalBlock& block : journal_->blocks()) {
    for (const auto& [dropped, why] : block.dropped) {
      for (; next < dropped; ++next) kept.source_rows.push_back(next);
      next = dropped + 1;
    }
  }
  for (; next < plan_.layout.n_items; ++next) kept.source_rows.push_back(next);
  return kept;
}

Status PreparedWriter::finish() {
  if (labels_.file.n_rows() == 0) {
    return fail(
        ErrorCode::kInvalid, "{}: no item is left for the set; {} were dropped{}", folder_.string(),
        plan_.layout.n_items,
        plan_.layout.n_items > 0 && !journal_->blocks().empty() && !journal_->blocks()[0].dropped.empty()
            ? ", the first because " + journal_->blocks()[0].dropped[0].second
            : "");
  }
  Json hashes;
  GAUNTLET_TRY(hashes["images"], images_.file.seal());
  GAUNTLET_TRY(hashes["text"], text_.file.seal());
  GAUNTLET_TRY(hashes["labels"], labels_.file.seal());
  GAUNTLET_TRY(const io::NpyArray labels, io::read_npy(labels_.file.part()));
  GAUNTLET_TRY(const KeptRows kept, kept_rows(labels));
  GAUNTLET_TRY(const std::vector<std::uint8_t> split, plan_.make_split(kept));
  GAUNTLET_CHECK(static_cast<std::int64_t>(split.size()) == kept.n_items());
  GAUNTLET_CHECK_OK(io::write_npy<std::uint8_t>(folder_ / "split.npy", {kept.n_items()}, split));
  for (GrowingArray* file : {&images_.file, &text_.file, &labels_.file}) GAUNTLET_CHECK_OK(file->publish());
  GAUNTLET_CHECK_OK(write_about(kept, split, std::move(hashes)));
  return journal_->remove();
}

Status PreparedWriter::write_about(const KeptRows& kept, const std::vector<std::uint8_t>& split,
                                   Json hashes) {
  Json about = plan_.about;
  hashes["split"] = to_hex(sha256(std::as_bytes(std::span(split))));
  about["format"] = 1;
  about["hashes"] = hashes;
  const auto n_query = std::ranges::count(split, kSplitQuery);
  about["counts"] = {{"items", kept.n_items()},
                     {"query", n_query},
                     {"train", std::ranges::count(split, kSplitTrain)},
                     {"retrieval", kept.n_items() - n_query}};
  const auto list = [&](const char* name, std::vector<RowNote> JournalBlock::*notes) {
    Json listed = Json::array();
    std::size_t n_notes = 0;
    for (const JournalBlock& block : journal_->blocks()) {
      for (const auto& [row, why] : block.*notes) {
        if (n_notes++ < kMaxListed) listed.push_back(why);
      }
    }
    if (n_notes > 0) about[name] = {{"count", n_notes}, {"listed", listed}};
  };
  list("dropped", &JournalBlock::dropped);
  list("remarks", &JournalBlock::remarks);
  if (plan_.complete_about) GAUNTLET_CHECK_OK(plan_.complete_about(kept, about));
  GAUNTLET_TRY(const std::string json, canonical_json(about));
  return write_file_atomic(folder_ / "dataset.json", json + "\n");
}

}  // namespace

void ImageMapping::release() const {
  // The pages stay in the system's cache, dirty as they are.
  ::madvise(bytes_.data() - kArrayHeaderBytes, bytes_.size() + kArrayHeaderBytes, MADV_DONTNEED);
}

Status write_prepared(const std::filesystem::path& folder, const PreparedPlan& plan, int n_threads,
                      const ProgressFn& progress) {
  return PreparedWriter(folder, plan, n_threads, progress).run();
}

}  // namespace gauntlet::data::detail
