#include "core/io/list_file.hpp"

#include <algorithm>

#include "core/base/clipped.hpp"
#include "core/base/files.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::io {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

/// The number of labels at the end of a line: single 0s and 1s, each after a blank.
std::size_t count_labels(std::string_view line) {
  std::size_t n = 0;
  while (line.size() > 2 && (line.back() == '0' || line.back() == '1') &&
         kBlanks.find(line[line.size() - 2]) != std::string_view::npos) {
    ++n;
    line = trimmed(line.substr(0, line.size() - 1));
  }
  return n;
}

struct ListContents {
  Texts paths;
  std::vector<std::uint8_t> labels;  ///< [n, n_labels]
  std::size_t n_labels = 0;
};

Status read_line(std::string_view line, ListContents& list) {
  const std::size_t n_here = count_labels(line);
  if (n_here == 0) {
    return fail(ErrorCode::kCorrupt, "'{}' is no path followed by labels of 0 and 1",
                clipped(printable(line), 60));
  }
  if (list.paths.empty()) list.n_labels = n_here;
  if (n_here != list.n_labels) {
    return fail(ErrorCode::kCorrupt, "{} labels; the lines before have {}", n_here, list.n_labels);
  }
  std::string_view rest = line;
  const std::size_t begin = list.labels.size();
  for (std::size_t label = 0; label < list.n_labels; ++label) {
    list.labels.push_back(rest.back() == '1' ? 1 : 0);
    rest = trimmed(rest.substr(0, rest.size() - 1));
  }
  std::reverse(list.labels.begin() + static_cast<std::ptrdiff_t>(begin), list.labels.end());
  if (!is_utf8(rest)) {
    return fail(ErrorCode::kInvalid, "the path '{}' is not UTF-8", clipped(printable(rest), 120));
  }
  list.paths.push_back({std::string(rest)});
  return {};
}

class ListContainer final : public Container {
 public:
  ListContainer(const std::filesystem::path& path, ListContents list)
      : Container(ContainerKind::kList, path), list_(std::move(list)) {
    const auto n = static_cast<std::int64_t>(list_.paths.size());
    ArrayInfo paths;
    paths.name = "path";
    paths.content = Content::kTexts;
    paths.type = "text";
    paths.dims = {n};
    ArrayInfo labels;
    labels.name = "labels";
    labels.type = "u8";
    labels.dims = {n, static_cast<std::int64_t>(list_.n_labels)};
    arrays_ = {paths, labels};
  }

 private:
  Status read_floats(std::size_t /*index*/, const Slab& slab, std::span<float> out) override {
    for_each(slab, [&](std::uint8_t value, std::size_t at) { out[at] = static_cast<float>(value); });
    return {};
  }
  Status read_bytes(std::size_t /*index*/, const Slab& slab, std::span<std::uint8_t> out) override {
    for_each(slab, [&](std::uint8_t value, std::size_t at) { out[at] = value; });
    return {};
  }
  Result<Texts> read_texts(std::size_t /*index*/) override { return list_.paths; }

  void for_each(const Slab& slab, const auto& take) const {
    std::size_t at = 0;
    for (std::int64_t row = slab.start[0]; row < slab.start[0] + slab.count[0]; ++row) {
      for (std::int64_t label = slab.start[1]; label < slab.start[1] + slab.count[1]; ++label)
        take(list_.labels[static_cast<std::size_t>(row) * list_.n_labels + static_cast<std::size_t>(label)],
             at++);
    }
  }

  ListContents list_;
};

}  // namespace

bool looks_like_list(std::string_view text) {
  const std::string_view line = trimmed(text.substr(0, text.find('\n')));
  const bool is_binary = std::ranges::any_of(line, [](char letter) {
    const auto byte = static_cast<unsigned char>(letter);
    return byte < 0x20 && byte != '\t';
  });
  return !is_binary && count_labels(line) > 0;
}

Result<std::unique_ptr<Container>> open_list(const std::filesystem::path& path) {
  GAUNTLET_TRY(const std::string text, read_file(path, kMaxListBytes));
  ListContents list;
  std::string_view rest = text;
  for (std::size_t line_no = 1; !rest.empty(); ++line_no) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    if (const Status read = read_line(line, list); !read)
      return fail(read.error().code, "{}:{}: {}", path.string(), line_no, read.error().message);
  }
  if (list.paths.empty()) return fail(ErrorCode::kCorrupt, "{} lists nothing", path.string());
  return std::make_unique<ListContainer>(path, std::move(list));
}

}  // namespace gauntlet::io
