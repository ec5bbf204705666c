#include "core/data/detail/photo_set.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/data/detail/file_hashes.hpp"
#include "core/data/detail/line_file.hpp"
#include "core/io/picture.hpp"

namespace gauntlet::data::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSmallFile = std::size_t{1} << 20;

std::span<const std::uint16_t> piece(const std::vector<std::uint16_t>& all,
                                     const std::vector<std::uint64_t>& ends, std::int64_t item) {
  const auto at = static_cast<std::size_t>(item);
  const std::uint64_t begin = at == 0 ? 0 : ends[at - 1];
  return std::span(all).subspan(begin, ends[at] - begin);
}

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& each : extension) each = each >= 'A' && each <= 'Z' ? static_cast<char>(each + 32) : each;
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

/// An error's message with the picture's own name in place of its whole path: where a set lies is no part of
/// it.
std::string about_picture(const Error& error, const fs::path& path, const std::string& name) {
  std::string message = error.message;
  const std::string whole = path.string();
  if (const std::size_t at = message.find(whole); at != std::string::npos)
    message.replace(at, whole.size(), name);
  return message;
}

RowFiller picture_filler(const PhotoTable& table, const io::PictureShape& shape) {
  return [&table, shape](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
    const std::string& name = table.pictures[static_cast<std::size_t>(row)];
    const fs::path path = table.picture_root / name;
    const auto read = io::read_picture(path, shape, out.image);
    if (!read) {
      const ErrorCode code = read.error().code;
      if (code == ErrorCode::kOutOfMemory || code == ErrorCode::kNoSpace) return fail(read.error());
      return RowOutcome{.dropped = about_picture(read.error(), path, name)};
    }
    for (const std::uint16_t word : table.words_of(row)) out.text[word] = 1;
    for (const std::uint16_t label : table.labels_of(row)) out.labels[label] = 1;
    if (read->n_warnings == 0) return RowOutcome{};
    return RowOutcome{.remark = fmt::format("{}: {} ({} in all)", name, read->first, read->n_warnings)};
  };
}

Result<Split> split_of(const KeptRows& kept, const PhotoConfig& config, PerClassRule rule) {
  const SplitSizes sizes = {config.n_query, config.n_train};
  const SplitSizes per_label = {config.query_per_label, config.train_per_label};
  const auto seed = static_cast<std::uint64_t>(config.seed);
  if (config.split == "row_order") {
    return row_order_split(kept.n_items(), sizes,
                           config.queries_at == "head" ? QueryPlace::kHead : QueryPlace::kTail);
  }
  if (config.split == "random") return random_split(kept.n_items(), sizes, seed);
  const ItemLabels labels = ItemLabels::from_rows(kept.labels, kept.n_labels);
  if (config.split == "slots") return slots_split(labels, per_label, seed);
  return rule == PerClassRule::kHalf ? half_per_class_split(labels, per_label, seed)
                                     : per_class_split(labels, per_label, seed);
}

/// Refuses a split that no set of these items has, before their pictures are read.
Status check_split(const PhotoTable& table, const PhotoConfig& config, PerClassRule rule) {
  const std::size_t n_labels = table.label_names.size();
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(table.n_items()) * n_labels);
  KeptRows all{.source_rows = {}, .labels = labels, .n_labels = static_cast<std::int64_t>(n_labels)};
  for (std::int64_t row = 0; row < table.n_items(); ++row) {
    all.source_rows.push_back(row);
    for (const std::uint16_t label : table.labels_of(row))
      labels[static_cast<std::size_t>(row) * n_labels + label] = 1;
  }
  GAUNTLET_CHECK_OK(split_of(all, config, rule));
  return {};
}

}  // namespace

void PhotoTable::add(std::string picture, std::span<const std::uint16_t> item_words,
                     std::span<const std::uint16_t> item_labels) {
  pictures.push_back(std::move(picture));
  words.insert(words.end(), item_words.begin(), item_words.end());
  word_ends.push_back(words.size());
  labels.insert(labels.end(), item_labels.begin(), item_labels.end());
  label_ends.push_back(labels.size());
}

std::span<const std::uint16_t> PhotoTable::words_of(std::int64_t item) const {
  return piece(words, word_ends, item);
}

std::span<const std::uint16_t> PhotoTable::labels_of(std::int64_t item) const {
  return piece(labels, label_ends, item);
}

Status SourceIdentity::add_file(const fs::path& path, const std::string& name) {
  GAUNTLET_TRY(const std::string hash, cached_sha256(path));
  lines_ += fmt::format("{} {}\n", hash, name);
  return {};
}

Status SourceIdentity::add_small_files(const fs::path& folder, const std::string& name) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator files(folder, error), end; !error && files != end; files.increment(error)) {
    names.push_back(files->path().filename().string());
  }
  if (error) return fail(system_error(error.value(), "read", folder));
  std::ranges::sort(names);
  Sha256 hash;
  for (const std::string& each : names) {
    GAUNTLET_TRY(const std::string bytes, read_file(folder / each, kMaxSmallFile));
    const std::string head = fmt::format("{} {}\n", each, bytes.size());
    hash.update(std::as_bytes(std::span(head)));
    hash.update(std::as_bytes(std::span(bytes)));
  }
  lines_ += fmt::format("{} {} ({} files)\n", to_hex(hash.finish()), name, names.size());
  return {};
}

Status SourceIdentity::add_pictures(const fs::path& folder, const std::string& name) {
  std::error_code error;
  std::vector<std::string> entries;
  for (fs::recursive_directory_iterator files(folder, error), end; !error && files != end;
       files.increment(error)) {
    if (!is_picture(files->path())) continue;
    std::error_code unreadable;  // a link that leads nowhere counts by its name
    const std::uintmax_t size = files->file_size(unreadable);
    entries.push_back(
        fmt::format("{} {}\n", files->path().lexically_relative(folder).string(), unreadable ? 0 : size));
  }
  if (error) return fail(system_error(error.value(), "read", folder));
  std::ranges::sort(entries);
  Sha256 hash;
  for (const std::string& entry : entries) hash.update(std::as_bytes(std::span(entry)));
  lines_ += fmt::format("{} {} ({} pictures)\n", to_hex(hash.finish()), name, entries.size());
  return {};
}

std::string SourceIdentity::content_id() const { return to_hex(sha256(lines_)); }

Result<fs::path> find_below(const fs::path& source, const std::vector<std::string>& candidates,
                            const std::string& missing) {
  for (const std::string& candidate : candidates) {
    std::error_code ignored;
    const fs::path path = candidate.empty() ? source : source / candidate;
    if (fs::exists(path, ignored)) return path;
  }
  return fail(ErrorCode::kNotFound, "{}", missing);
}

Status check_source(std::string_view owner, const std::string& source, std::string_view layout) {
  if (source.empty()) return fail(ErrorCode::kInvalid, "{}: 'source' is missing; give {}", owner, layout);
  std::error_code ignored;
  if (fs::is_directory(source, ignored)) return {};
  return fail(ErrorCode::kNotFound, "{}: there is no folder {}; give {}", owner, source, layout);
}

Json choices_of(const PhotoConfig& config) {
  Json choices = {{"image_px", config.image_px}, {"fit", config.fit}, {"split", config.split}};
  if (config.split != "row_order") choices["seed"] = config.seed;
  if (config.split == "row_order") choices["queries_at"] = config.queries_at;
  if (config.split == "row_order" || config.split == "random") {
    choices["n_query"] = config.n_query;
    choices["n_train"] = config.n_train;
  } else {
    choices["query_per_label"] = config.query_per_label;
    choices["train_per_label"] = config.train_per_label;
  }
  return choices;
}

Status write_photos(const fs::path& folder, const PhotoTable& table, const PhotoConfig& config,
                    PerClassRule rule, Json about, int n_threads, const ProgressFn& progress) {
  GAUNTLET_CHECK_OK(check_split(table, config, rule));
  about["label_names"] = table.label_names;
  about["text_names"] = table.text_names;
  const io::PictureShape shape = {.height = config.image_px,
                                  .width = config.image_px,
                                  .fit = config.fit == "crop" ? io::Fit::kCrop : io::Fit::kStretch};
  const PreparedPlan plan = {.layout = {.n_items = table.n_items(),
                                        .height = config.image_px,
                                        .width = config.image_px,
                                        .text_dim = static_cast<std::int64_t>(table.text_names.size()),
                                        .n_labels = static_cast<std::int64_t>(table.label_names.size())},
                             .about = std::move(about),
                             .make_filler = [&] { return picture_filler(table, shape); },
                             .make_split = [&](const KeptRows& kept) { return split_of(kept, config, rule); },
                             .complete_about = [](const KeptRows&, Json& whole) -> Status {
                               if (!whole.contains("dropped")) return {};
                               const std::string warning =
                                   fmt::format("{} pictures could not be read and their items were left out",
                                               whole["dropped"]["count"].get<std::int64_t>());
                               whole["warnings"].push_back(warning);
                               return {};
                             },
                             .strict = config.strict};
  return write_prepared(folder, plan, n_threads, progress);
}

}  // namespace gauntlet::data::detail
